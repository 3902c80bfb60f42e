"""Language models behind one small interface: asked through Triton, or in this process."""
