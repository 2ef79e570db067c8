"""A service that was restored from an old backup: devices say so, and go on when a person lets them."""

import shutil

from helpers import instance as instances
from helpers.sync_client import person
from test_sync_client import ANNA, Device


def test_after_an_old_backup_a_pardon_goes_on_and_loses_nothing(tmp_path):
    service = instances.Instance(tmp_path)
    try:
        service.init({"sync": {"enabled": "yes"}}).start()
        token = person(service, ANNA)
        laptop = Device(service, tmp_path, "laptop", ANNA, token).init()
        desktop = Device(service, tmp_path, "desktop", ANNA, token).join(laptop)
        for name in ("kept", "edited", "gone"):
            laptop.write(name, name)
        laptop.sync(), desktop.sync()
        service.stop()
        shutil.copytree(service.directory, tmp_path / "backup", symlinks=True)

        service.start()
        laptop.write("new", "since the backup")
        laptop.write("edited", "since the backup too")
        (laptop.folder / "gone").unlink()
        laptop.sync(), desktop.sync()
        service.stop()
        shutil.rmtree(service.directory)
        shutil.copytree(tmp_path / "backup", service.directory, symlinks=True)

        service.start()
        before = laptop.tree()
        for device in (laptop, desktop):
            assert "rolled-back" in device.run("run", "--once", status=5).stderr
            assert "rolled-back" in device.run("run", "--once", status=5).stderr  # until somebody looked
            assert device.tree() == before
        laptop.sync("--pardon"), desktop.sync("--pardon"), laptop.sync()
        tree = laptop.tree()
        assert desktop.tree() == tree
        assert tree["kept"] == b"kept" and tree["new"] == b"since the backup"
        assert tree["gone"] == b"gone"  # nobody knows any more that it was deleted
        # The service's stays, what the devices had lies beside it, once.
        assert tree["edited"] == b"edited"
        copies = [name for name in tree if name.startswith("edited (conflict, ")]
        assert [tree[name] for name in copies] == [b"since the backup too"] and len(tree) == 5
        # And it is a region as before: an edit goes its way, a deletion too.
        (desktop.folder / "gone").unlink()
        desktop.sync(), laptop.sync()
        assert "gone" not in laptop.tree() and laptop.sync()["commits"] == 0
        service.stop()
    finally:
        service.abandon()
