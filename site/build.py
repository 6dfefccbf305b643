"""Build the site: the script behind `make site`.

    python site/build.py            build into build/site/html, and say where it is
    python site/build.py FOLDER     build into FOLDER

No notebook is run, and nothing is fetched.
"""

import argparse
import shutil
import sys
from pathlib import Path

SITE = Path(__file__).resolve().parent
ROOT = SITE.parent
sys.path.insert(0, str(ROOT))  # the chatlib of this checkout, whichever is installed

from making.stage import Stage  # noqa: E402 - needs the line above
from sphinx.cmd.build import build_main  # noqa: E402

DEFAULT = ROOT / "build/site"


def build(folder: Path, *, jobs: str = "auto") -> int:
    """Build the site below `folder`; return 0 if all is well.

    What is there from another time is used where nothing has changed, unless that time was cut
    short: what Sphinx was writing then breaks it. Diagrams are kept in one place for all folders:
    drawing them takes half of the time.
    """
    source, html, doctrees = folder / "source", folder / "html", folder / "doctrees"
    unfinished = folder / "unfinished"
    if unfinished.exists():
        for part in (html, doctrees):
            shutil.rmtree(part, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished.touch()
    Stage(ROOT, source, DEFAULT / "diagrams").make()
    options = ["--fail-on-warning", "--nitpicky", "--quiet", "--jobs", jobs]
    options += ["-D", f"html_extra_path={source / '_extra'}"]
    places = ["-c", str(SITE), "-d", str(doctrees), str(source), str(html)]
    failed = build_main([*options, "-b", "html", *places])
    if not failed:
        unfinished.unlink()
    return failed


def main() -> None:
    """Build, and say how to read the site."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT)
    folder = parser.parse_args().folder.resolve()
    print("Building the site: about half a minute the first time.", flush=True)
    failed = build(folder)
    if failed:
        sys.exit(failed)
    page = folder / "html/index.html"
    print(f"The site is in {folder / 'html'}. Open {page.as_uri()} in a browser.")


if __name__ == "__main__":
    main()
