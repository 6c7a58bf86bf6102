/**
 * The tokens, decoded, and the map of them: a view that moves, and what is under a place.
 * Places are from 0 to 1 in both directions; pixels are those of CSS.
 */

/** @param {string} text base64 @param {any} Numbers kind of array @returns {any} */
function decode(text, Numbers) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new Numbers(bytes.buffer);
}

const NONE = 2 ** 32 - 1;
const data = JSON.parse(document.getElementById("data").textContent);
const points = {
  count: data.tokens.length,
  tokens: data.tokens,
  origins: data.origins,
  ids: decode(data.ids, Uint32Array),
  places: decode(data.places, Uint16Array),
  near: decode(data.near, Uint32Array),
  cosines: decode(data.cosines, Int8Array),
  norms: decode(data.norms, Float32Array),
  counts: data.counts && decode(data.counts, Float64Array),
  origin: decode(data.origin, Uint8Array),
};

/** Finds points near a place: a list of points for each cell of a grid. */
class Grid {
  static SIDE = 128;

  constructor() {
    const side = Grid.SIDE, { count, places } = points;
    this.starts = new Uint32Array(side * side + 1);
    const cells = new Uint32Array(count);
    for (let i = 0; i < count; i++) {
      cells[i] = (places[2 * i + 1] >> 9) * side + (places[2 * i] >> 9);
      this.starts[cells[i] + 1]++;
    }
    for (let c = 0; c < side * side; c++) this.starts[c + 1] += this.starts[c];
    this.points = new Uint32Array(count);
    const next = this.starts.slice();
    for (let i = 0; i < count; i++) this.points[next[cells[i]]++] = i;
  }

  /** The point nearest to (x, y) that is shown and closer than reach; -1 for none. */
  nearest(x, y, reach, shown) {
    const side = Grid.SIDE, { places } = points;
    const cell = (at) => Math.min(side - 1, Math.max(0, Math.floor(at * 65535 / 512)));
    let best = -1, least = reach * reach;
    for (let row = cell(y - reach); row <= cell(y + reach); row++) {
      const from = this.starts[row * side + cell(x - reach)];
      const to = this.starts[row * side + cell(x + reach) + 1];
      for (let k = from; k < to; k++) {
        const i = this.points[k];
        const dx = places[2 * i] / 65535 - x, dy = places[2 * i + 1] / 65535 - y;
        const distance = dx * dx + dy * dy;
        if (distance < least && shown[points.origin[i]]) [best, least] = [i, distance];
      }
    }
    return best;
  }
}

/** Draws the points; draws again only when something has changed. */
class Chart {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true }); // drawn by the processor
    this.grid = new Grid();
    this.shown = new Uint8Array(points.origins.length).fill(1);
    this.paint = { colours: ["gray"], of: new Uint8Array(points.count) };
    this.theme = { ink: "black", ground: "white", font: "sans-serif" };
    this.selected = this.hovered = -1;
    this.frames = 0;
    this.sprites = [];
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
    this.showAll();
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    this.ratio = devicePixelRatio || 1;
    [this.width, this.height] = [clientWidth, clientHeight];
    this.canvas.width = Math.round(clientWidth * this.ratio);
    this.canvas.height = Math.round(clientHeight * this.ratio);
    this.touch();
  }

  /** Shows nearly all points: the few that lie far out do not make the others small. */
  showAll() {
    const ends = [0, 1].map((axis) => {
      const sorted = Float64Array.from({ length: points.count }, (_, i) => points.places[2 * i + axis] / 65535).sort();
      const at = (share) => sorted[Math.round(share * (points.count - 1))] ?? 0.5;
      return [at(0.003), at(0.997)];
    });
    const span = ends.map(([low, high]) => Math.max(high - low, 0.02) * 1.08);
    this.least = Math.min(this.width / span[0], this.height / span[1]);
    [this.x, this.y] = ends.map(([low, high]) => (low + high) / 2);
    this.scale = this.least;
    this.touch();
  }

  /** @returns {[number, number]} where a point is on the canvas */
  pixel(i) {
    const { places } = points;
    return [
      (places[2 * i] / 65535 - this.x) * this.scale + this.width / 2,
      (places[2 * i + 1] / 65535 - this.y) * this.scale + this.height / 2,
    ];
  }

  move(dx, dy) {
    this.x = Math.min(1, Math.max(0, this.x - dx / this.scale));
    this.y = Math.min(1, Math.max(0, this.y - dy / this.scale));
    this.touch();
  }

  /** Zooms; what is at a pixel stays there, by default what is in the middle. */
  zoom(factor, px = this.width / 2, py = this.height / 2) {
    const scale = Math.min(this.least * 400, Math.max(this.least * 0.5, this.scale * factor));
    const change = 1 / this.scale - 1 / scale;
    this.x += (px - this.width / 2) * change;
    this.y += (py - this.height / 2) * change;
    this.scale = scale;
    this.move(0, 0);
  }

  /** Brings a point to the middle, near enough to tell it from others. */
  centre(i) {
    this.x = points.places[2 * i] / 65535;
    this.y = points.places[2 * i + 1] / 65535;
    this.scale = Math.max(this.scale, this.least * 4);
    this.touch();
  }

  /** The point at a pixel, no farther off than reach; -1 for none. */
  at(px, py, reach = 12) {
    const x = (px - this.width / 2) / this.scale + this.x;
    const y = (py - this.height / 2) / this.scale + this.y;
    return this.grid.nearest(x, y, reach / this.scale, this.shown);
  }

  /** Points in view that are shown, the most important first. */
  *inView() {
    for (let i = 0; i < points.count; i++) {
      if (!this.shown[points.origin[i]]) continue;
      const [x, y] = this.pixel(i);
      if (x >= 0 && y >= 0 && x <= this.width && y <= this.height) yield i;
    }
  }

  /** Has the map drawn before the next frame. */
  touch() {
    if (!this.waiting) {
      this.waiting = requestAnimationFrame(() => {
        this.waiting = 0;
        this.draw();
      });
    }
  }

  draw() {
    const { context, ratio, width, height, paint, shown } = this;
    const { count, places, origin } = points;
    const radius = ratio * Math.min(5, Math.max(1.6, 1.7 * Math.sqrt(this.scale / this.least)));
    const size = Math.round(2 * radius) + 2;
    const sprites = this.spritesOf(size, radius);
    // pixels of the device, set one by one: many times as fast as drawing each point
    const [wide, high] = [this.canvas.width, this.canvas.height];
    const image = context.createImageData(Math.max(wide, 1), Math.max(high, 1));
    const pixels = new Uint32Array(image.data.buffer);
    const k = this.scale / 65535 * ratio;
    const left = (width / 2 - this.x * this.scale) * ratio - size / 2;
    const top = (height / 2 - this.y * this.scale) * ratio - size / 2;
    let drawn = 0;
    for (let i = count - 1; i >= 0; i--) { // the most important last, on top
      if (!shown[origin[i]]) continue;
      drawn++;
      const x = Math.round(places[2 * i] * k + left), y = Math.round(places[2 * i + 1] * k + top);
      if (x < 0 || y < 0 || x + size > wide || y + size > high) continue;
      const sprite = sprites[paint.of[i]];
      for (let row = 0, from = 0, to = y * wide + x; row < size; row++, to += wide - size) {
        for (let column = 0; column < size; column++, from++, to++) {
          const alpha = sprite[from] >>> 24;
          if (alpha === 255 || alpha > pixels[to] >>> 24) pixels[to] = sprite[from];
        }
      }
    }
    context.putImageData(image, 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.drawSelection();
    this.drawLabels();
    if (this.canvas.matches(":focus-visible")) this.drawMiddle();
    Object.assign(this.canvas.dataset, { drawn, frames: ++this.frames, scale: this.scale, x: this.x, y: this.y });
  }

  /** The pixels of a point, for each colour. */
  spritesOf(size, radius) {
    const key = [size, radius, ...this.paint.colours].join();
    if (key !== this.spriteKey) {
      this.spriteKey = key;
      this.sprites = this.paint.colours.map((colour) => {
        const sprite = document.createElement("canvas");
        sprite.width = sprite.height = size;
        const context = sprite.getContext("2d");
        context.fillStyle = colour;
        context.beginPath();
        context.arc(size / 2, size / 2, radius, 0, 2 * Math.PI);
        context.fill();
        return new Uint32Array(context.getImageData(0, 0, size, size).data.buffer);
      });
    }
    return this.sprites;
  }

  /** Lines from the selected token, or else the one pointed at, to its neighbours. */
  drawSelection() {
    const { context } = this;
    const chosen = this.selected >= 0 ? this.selected : this.hovered;
    context.strokeStyle = context.fillStyle = this.theme.ink;
    if (chosen >= 0) {
      const [x, y] = this.pixel(chosen);
      context.globalAlpha = 0.35;
      context.lineWidth = 1;
      context.beginPath();
      for (const { point } of neighbours(chosen)) {
        context.moveTo(x, y);
        context.lineTo(...this.pixel(point));
      }
      context.stroke();
      context.globalAlpha = 1;
    }
    for (const { point } of chosen < 0 ? [] : neighbours(chosen)) this.ring(point, 4, 1);
    for (const i of new Set([this.selected, this.hovered])) if (i >= 0) this.ring(i, 7, 2);
  }

  ring(i, radius, width) {
    this.context.lineWidth = width;
    this.context.beginPath();
    this.context.arc(...this.pixel(i), radius, 0, 2 * Math.PI);
    this.context.stroke();
  }

  /** Names of the most important points in view, as far as there is room. */
  drawLabels() {
    const { context } = this;
    // cells of 24 by 20 pixels, with one around the map; a label keeps its neighbours free
    const columns = Math.ceil(this.width / 24) + 3, rows = Math.ceil(this.height / 20) + 3;
    const taken = new Uint8Array(columns * rows);
    const chosen = this.selected >= 0 ? this.selected : this.hovered;
    const important = chosen < 0 ? [] : [chosen, ...neighbours(chosen).map((near) => near.point)];
    context.textBaseline = "middle";
    context.lineJoin = "round";
    context.lineWidth = 3.5;
    context.strokeStyle = this.theme.ground;
    context.fillStyle = this.theme.ink;
    let left = 40;
    const label = (i) => {
      const [x, y] = this.pixel(i);
      if (x < 0 || y < 0 || x > this.width || y > this.height) return;
      const row = Math.round(y / 20) + 1;
      if (taken[row * columns + Math.floor(x / 24) + 1]) return; // as most are: measure no text
      const text = short(points.tokens[i], 24);
      const long = context.measureText(text).width;
      const start = Math.max(0, x + 8 + long < this.width ? x + 8 : x - 8 - long);
      const from = (row - 1) * columns, to = (row + 1) * columns;
      const first = Math.floor(start / 24), last = Math.min(columns - 1, Math.ceil((start + long) / 24) + 1);
      for (let line = from; line <= to; line += columns) {
        if (taken.subarray(line + first, line + last + 1).includes(1)) return;
      }
      taken.fill(1, row * columns + first + 1, row * columns + last);
      context.strokeText(text, start, y);
      context.fillText(text, start, y);
      left--;
    };
    const font = `12.5px ${this.theme.font}`;
    context.font = `700 ${font}`;
    important.forEach(label);
    context.font = font;
    for (let i = 0; i < points.count && left > 0; i++) if (this.shown[points.origin[i]]) label(i);
  }

  /** A cross in the middle, where Enter selects. */
  drawMiddle() {
    const { context } = this;
    const [x, y] = [this.width / 2, this.height / 2];
    context.strokeStyle = this.theme.ink;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x - 10, y);
    context.lineTo(x + 10, y);
    context.moveTo(x, y - 10);
    context.lineTo(x, y + 10);
    context.stroke();
  }
}

/** @returns {{point: number, cosine: number}[]} the nearest first */
function neighbours(i) {
  const width = points.near.length / points.count;
  const found = [];
  for (let k = i * width; k < (i + 1) * width; k++) {
    if (points.near[k] !== NONE) found.push({ point: points.near[k], cosine: points.cosines[k] / 100 });
  }
  return found;
}

/** Text of at most so many characters. */
function short(text, most) {
  const characters = [...text.slice(0, 2 * most)];
  return characters.length > most ? `${characters.slice(0, most - 1).join("")}…` : text;
}
