"""The strategies that ship with the product, one file each. Others are found in the same way: `harden.strategies`."""
