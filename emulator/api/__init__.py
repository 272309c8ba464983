"""The AWS front door: HTTP in, the emulator's own calls behind it."""
