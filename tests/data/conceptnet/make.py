"""Makes words.json: how wordfreq cuts terms up, as Numberbatch's keys need it.

Made with wordfreq 3.1.1:

    pip install wordfreq==3.1.1 && python make.py

ConceptNet Numberbatch's own text_to_uri.py calls wordfreq.tokenize(term, "xx") with
"_" as a space; the rest of its rule (articles, digits) is tested by its examples.
"""

import json
from pathlib import Path

import wordfreq

TERMS = """
State-of-the-Art don't don’t New_York U.S. the Straße 3.14 AT&T e-mail C++ rock'n'roll
Café #tag 1,000 o'clock ps3 'tis a.m. l'arc d'heure qu'un y'all हिन्दी 東京 한국어 कृष्ण
Ελλάδα naïve 12:30 a:b a.1 1.a 3d a/b x;y 1;2 1'000 user@example.com http://a.b.c
İstanbul ﬁne ß ... -- ''quoted'' don't. e.g., C# .NET node.js it's IT'S 90's '90s
vitamin_b12 fish_&_chips étude Ångström tél. r2d2 10% €5 100km/h ไทย عربي عَرَبِيّ Русский ё
o'hara 1-2-3 a—b a–b you’re word.Word F.B.I. 1.2.3 ١٢٣ 日本 new_york_city _ a_b__c
"""

words = {
    term: wordfreq.tokenize(term.replace("_", " "), "xx") for term in TERMS.split()
}
Path(__file__).with_name("words.json").write_text(json.dumps(words, indent=1) + "\n")
