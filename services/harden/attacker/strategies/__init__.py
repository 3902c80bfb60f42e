"""The strategies that ship with the product, one file each. Plug-ins of the group `harden.strategies`, as all others are."""
