"""The tree: by RFC 6962's own vectors, by its recursive definition, and by another library."""

import hashlib
from importlib.util import find_spec

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.audit import merkle
from lineage.audit.merkle import Tree, is_consistent, is_included, leaf_hash, root_of

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Inputs and roots of the tests of RFC 6962's reference implementation (certificate-transparency).
VECTORS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
VECTORS = [bytes.fromhex(each) for each in VECTORS] + [bytes(range(0x60, 0x70))]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {  # (leaf counted from 1, size): path
    (1, 8): """96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7
        5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e
        6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4""",
    (6, 8): """bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b
        ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0
        d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7""",
    (3, 3): "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
}
CONSISTENCY = {
    (1, 8): INCLUSION[1, 8],
    (6, 8): """0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a
        ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0
        d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7""",
}


# --- the oracle: RFC 6962, section 2.1, word by word ----------------------------------------------


def split(n):
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def mth(entries):
    if not entries:
        return hashlib.sha256().digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = split(len(entries))
    return hashlib.sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:])).digest()


def path(m, entries):
    if len(entries) == 1:
        return []
    k = split(len(entries))
    if m < k:
        return [*path(m, entries[:k]), mth(entries[k:])]
    return [*path(m - k, entries[k:]), mth(entries[:k])]


def subproof(m, entries, known):
    n = len(entries)
    if m == n:
        return [] if known else [mth(entries)]
    k = split(n)
    if m <= k:
        return [*subproof(m, entries[:k], known), mth(entries[k:])]
    return [*subproof(m - k, entries[k:], False), mth(entries[:k])]


# --- trees in memory ------------------------------------------------------------------------------


def levels(leaves):
    found = [leaves]
    while len(found[-1]) >= 256:
        below = found[-1]
        found.append(
            [merkle.fold(b"".join(below[at : at + 256])) for at in range(0, len(below) - 255, 256)]
        )
    return found


def tree_of(leaves):
    there = levels(leaves)

    def read(level, first, count):
        some = there[level][first : first + count]
        assert len(some) == count  # nothing is asked for that a tree has not
        return b"".join(some)

    return Tree(read)


def entries_of(size):
    return [b"entry %d" % number for number in range(size)]


def test_the_vectors_of_the_rfc():
    leaves = [leaf_hash(each) for each in VECTORS]
    assert [root_of(leaves[: n + 1]).hex() for n in range(8)] == ROOTS
    tree = tree_of(leaves)
    for (leaf, size), hashes in INCLUSION.items():
        assert [each.hex() for each in tree.inclusion(leaf - 1, size)] == hashes.split()
    for (old, size), hashes in CONSISTENCY.items():
        assert [each.hex() for each in tree.consistency(old, size)] == hashes.split()


@given(st.lists(st.binary(max_size=40), max_size=70), st.data())
def test_it_is_the_definition(entries, data):
    leaves = [leaf_hash(each) for each in entries]
    tree, size = tree_of(leaves), len(entries)
    assert root_of(leaves) == tree.root(size) == mth(entries)
    if not entries:
        return
    at = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    assert tree.inclusion(at, size) == path(at, entries)
    assert tree.consistency(old, size) == subproof(old, entries, True)
    assert tree.root(old) == mth(entries[:old])


@pytest.mark.parametrize("size", [255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 66_000])
def test_tiles_of_every_level(size):
    entries = entries_of(size)
    leaves = [leaf_hash(each) for each in entries]
    tree, root = tree_of(leaves), mth(entries)
    assert root_of(leaves) == tree.root(size) == root
    for at in {0, 1, 255, 256, size // 2, size - 1} & set(range(size)):
        proof = tree.inclusion(at, size)
        assert is_included(leaves[at], at, size, proof=proof, root=root)
    for old in {0, 1, 255, 256, 257, size // 3, size - 1, size} & set(range(size + 1)):
        proof = tree.consistency(old, size)
        assert is_consistent(old, size, old_root=tree.root(old), root=root, proof=proof)


def test_all_proofs_of_small_trees_and_no_other():
    """Every leaf and every older tree of all sizes, and each proof for anything else is refused."""
    accepted = refused = 0
    for size in range(1, 34):
        entries = entries_of(size)
        leaves = [leaf_hash(each) for each in entries]
        tree, root = tree_of(leaves), mth(entries)
        for at in range(size):
            proof = tree.inclusion(at, size)
            for other in range(size):
                found = is_included(leaves[at], other, size, proof=proof, root=root)
                assert found == (other == at)
                accepted += found
                refused += not found
            assert not is_included(leaves[at], at, size, proof=[*proof, root], root=root)
            assert not proof or not is_included(leaves[at], at, size, proof=proof[1:], root=root)
        for old in range(size + 1):
            proof = tree.consistency(old, size)
            for other in range(size + 1):
                before = tree.root(other)
                found = is_consistent(other, size, old_root=before, root=root, proof=proof)
                assert found == (other == old or (not proof and other in {0, size}))
                accepted += found
                refused += not found
    assert accepted > 1000
    assert refused > 20_000


@given(st.integers(1, 300), st.data())
def test_no_proof_survives_a_flipped_bit(size, data):
    leaves = [leaf_hash(each) for each in entries_of(size)]
    tree = tree_of(leaves)
    at, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    root, before = tree.root(size), tree.root(old)
    inclusion, consistency = tree.inclusion(at, size), tree.consistency(old, size)
    assert is_included(leaves[at], at, size, proof=inclusion, root=root)
    assert is_consistent(old, size, old_root=before, root=root, proof=consistency)
    for proof, is_sound in (
        (inclusion, lambda some: is_included(leaves[at], at, size, proof=some, root=root)),
        (
            consistency,
            lambda some: is_consistent(old, size, old_root=before, root=root, proof=some),
        ),
    ):
        if proof:
            which = data.draw(st.integers(0, len(proof) - 1))
            bit = data.draw(st.integers(0, 255))
            changed = bytearray(proof[which])
            changed[bit // 8] ^= 1 << bit % 8
            assert not is_sound([*proof[:which], bytes(changed), *proof[which + 1 :]])


def test_what_is_no_hash_and_no_place_is_no_proof():
    leaves = [leaf_hash(each) for each in entries_of(5)]
    tree = tree_of(leaves)
    root, proof = tree.root(5), tree.inclusion(2, 5)
    assert not is_included(leaves[2], -1, 5, proof=proof, root=root)
    assert not is_included(leaves[2], 5, 5, proof=proof, root=root)
    assert not is_included(leaves[2][:31], 2, 5, proof=proof, root=root)
    # Two hashes joined would be one entry of a tree without prefixes.
    assert not is_included(leaves[2], 2, 5, proof=[proof[0] + proof[1], *proof[2:]], root=root)
    assert not is_consistent(6, 5, old_root=root, root=root, proof=[])
    assert not is_consistent(3, 5, old_root=tree.root(3), root=root, proof=[])
    for wrong in (lambda: tree.inclusion(5, 5), lambda: tree.consistency(6, 5)):
        with pytest.raises(ValueError, match="5"):
            wrong()


def test_tiles_are_those_of_the_specification():
    """A tree of 70,000 and one of 256, as https://c2sp.org/tlog-tiles tells them."""
    tiles = merkle.tiles_of(70_000)
    full = [sum(level == at and width == 256 for level, _, width in tiles) for at in range(3)]
    assert full == [273, 1, 0]
    partial = [(level, width) for level, _, width in tiles if width < 256]
    assert partial == [(0, 112), (1, 17), (2, 1)]
    assert merkle.tiles_of(256) == [(0, 0, 256), (1, 0, 1)]
    assert merkle.tile_path(0, 1_234_067) == "tile/0/x001/x234/067"
    assert merkle.tile_path(2, 999, 3) == "tile/2/999.p/3"
    assert merkle.tile_path(0, 1000) == "tile/0/x001/000"


@pytest.mark.skipif(find_spec("pymerkle") is None, reason="pymerkle is not there")
def test_another_library_agrees():
    from pymerkle import InmemoryTree

    theirs = InmemoryTree(algorithm="sha256")
    leaves = []
    for number in range(600):
        entry = b"entry %d" % number
        leaves.append(leaf_hash(entry))
        theirs.append_entry(entry)
        assert theirs.get_root() == root_of(leaves)
    tree = tree_of(leaves)
    for size in (600, 599, 512, 257):
        for at in (0, 1, 255, 256):
            path = theirs.prove_inclusion(at + 1, size)
            assert is_included(
                leaves[at], at, size, proof=tree.inclusion(at, size), root=theirs.get_root(size)
            )
            assert path.compute_root() == tree.root(size)
