"""Every address of the installation, asked by everybody whom it doesn't belong to, with another tenant's ids.

`walk.py` reads the URL map; the three `entries_…` modules say of each address how its ids are made and who may use it;
an address without an entry fails the test. `world.py` makes the tenant whose ids are used, and `watch.py` sees what
changed.
"""
