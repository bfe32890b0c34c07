"""tuspy against a stream-service: python tuspy.py <mode> <endpoint> <file>, the grant in $GRANT.

Ends with 0 when the upload went as the mode expects, and says why not otherwise.
"""

import asyncio
import os
import sys

from tusclient import client
from tusclient.storage.filestorage import FileStorage

mode, endpoint, path = sys.argv[1:]
tus = client.TusClient(endpoint, headers={"Authorization": f"Bearer {os.environ['GRANT']}"})
metadata = {"filename": "Ferien in Köln.mp4", "filetype": "video/mp4"}
size = os.path.getsize(path)


def plain():
    tus.uploader(path, metadata=metadata).upload()


def chunks():
    tus.uploader(path, metadata=metadata, chunk_size=700_000).upload()


def checksum():
    tus.uploader(path, metadata=metadata, chunk_size=700_000, upload_checksum=True).upload()


def broken():
    """Connections are cut by what is between: see the test."""
    tus.uploader(path, metadata=metadata, chunk_size=2_000_000, retries=8, retry_delay=0.1).upload()


def resumed():
    """Stopped after some pieces, and gone on with by another one that knows only the file."""
    urls = path + ".urls.json"
    options = {"metadata": metadata, "chunk_size": 400_000, "store_url": True}
    first = tus.uploader(path, url_storage=FileStorage(urls), **options)
    first.upload(stop_at=1_000_000)
    assert 1_000_000 <= first.offset < size, first.offset
    second = tus.uploader(path, url_storage=FileStorage(urls), **options)
    assert second.url == first.url and second.offset == first.offset, (second.url, second.offset)
    second.upload()
    os.remove(urls)


def asynchronous():
    uploader = tus.async_uploader(path, metadata=metadata, chunk_size=700_000, retries=3, retry_delay=1)
    asyncio.run(uploader.upload())


MODES = {f.__name__: f for f in (plain, chunks, checksum, broken, resumed, asynchronous)}
MODES[mode]()
print(f"{mode}: {size} bytes")
