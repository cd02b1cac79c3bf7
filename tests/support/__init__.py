"""What the tests stand on: programs of the machine, servers, a browser."""
