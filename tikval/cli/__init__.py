"""`tikval ...`: the commands. Every command ends by saying where its result lies."""
