"""Every address of the installation, asked by everybody whom it doesn't belong to, with another tenant's ids.

`walk.py` reads the URL map; the three `entries_…` modules say of each address how its ids are made and who may use it;
an address without an entry fails the test. `world.py` makes the tenant whose ids are used, `watch.py` sees what
changed, and `visits.py` is the check. That it fails where it has to is shown with flaws that `planted.py` puts into the
URL map and with checks taken out of real views (`test_flaws_are_found.py`).
"""
