"""Writes an OCI image of some files as a tar that containerd imports: image.py OUT NAME CONFIG SOURCE=DEST... ."""
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile


def libraries(path):
    """Shared libraries of a binary, by ldd; none if it is static."""
    done = subprocess.run(["ldd", path], capture_output=True, text=True)
    words = (word for line in done.stdout.splitlines() for word in line.split()) if done.returncode == 0 else ()
    return sorted({word for word in words if word.startswith("/")})


def layer(files):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        seen = set()
        for folder in ("tmp", "data"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(entry)
        for source, dest in files:
            for path, name in [(source, dest)] + [(lib, lib) for lib in (libraries(source) if os.path.isfile(source) else ())]:
                if name not in seen:
                    seen.add(name)
                    tar.add(os.path.realpath(path) if os.path.isfile(path) else path, arcname=name.lstrip("/"), filter=plain)
    return raw.getvalue()


def plain(entry):
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mtime = 0
    entry.mode |= 0o444 | (0o111 if entry.mode & 0o100 else 0)
    return entry


def main(out, name, config, *pairs):
    files = [tuple(pair.split("=", 1)) for pair in pairs]
    blobs = {}

    def blob(data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"digest": digest, "size": len(data)}

    raw = layer(files)
    packed = gzip.compress(raw, 1, mtime=0)
    settings = {
        "architecture": "amd64", "os": "linux", "config": json.loads(config),
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(raw).hexdigest()]},
    }
    oci = "application/vnd.oci.image."
    manifest = {
        "schemaVersion": 2, "mediaType": oci + "manifest.v1+json",
        "config": {"mediaType": oci + "config.v1+json", **blob(json.dumps(settings).encode())},
        "layers": [{"mediaType": oci + "layer.v1.tar+gzip", **blob(packed)}],
    }
    entry = {"mediaType": oci + "manifest.v1+json", **blob(json.dumps(manifest).encode())}
    entry["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
    blobs_out = [("blobs/" + digest.replace(":", "/"), data) for digest, data in blobs.items()]
    texts = [("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode())]
    with tarfile.open(out, "w") as tar:
        for path, data in texts + blobs_out:
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


main(*sys.argv[1:])
