"""What the functional tests share: instances, clients, a device; see README.md."""
