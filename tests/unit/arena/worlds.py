"""What tests of the arena ask of: the world that settings are chosen on."""

from harden.worlds.arena.lore import lore_of
from harden.worlds.arena.world import Group

LORE = lore_of("arena")
WORLD, READER, SPLITS, ORACLE, SEEDS, SUITES = (
    LORE.world, LORE.reader, LORE.splits, LORE.oracle, LORE.seeds, LORE.suites,
)  # fmt: skip
RESTRICTED, OTHER = WORLD.of(Group.ATTACKED)[:2]
LISTED, UNLISTED, ORDINARY = (WORLD.of(group)[0] for group in (Group.LISTED, Group.UNLISTED, Group.ORDINARY))
