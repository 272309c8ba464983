"""CloudFormation: stacks of our own making, in moto's place."""
