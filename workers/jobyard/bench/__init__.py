"""`jobyard bench`: how fast jobs go through this machine and this Redis, with every guarantee on."""
