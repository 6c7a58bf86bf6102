"""The competitors: what is timed, each by its own name.

A peer turns a file and wanted tokens into one matrix, float32 (tokens, dim), whose row
*i* is the vector of token *i*. What does not depend on the file (a set or dict of the
tokens, their column) is made by ``prepare``, outside of the time, for every peer.
Nothing here imports a peer's package before it is asked to run.
"""

from __future__ import annotations

from benchmarks.peers import floors, libraries, loops, ours, subwords, tables
from benchmarks.peers.peer import Peer

PEERS: dict[str, Peer] = {
    peer.name: peer
    for module in (floors, ours, loops, libraries, tables, subwords)
    for peer in module.PEERS
}

__all__ = ["PEERS", "Peer"]
