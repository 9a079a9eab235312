# SPDX-License-Identifier: MIT
"""The transcripts of the C library, replayed through Python: synchronously, fed whole and in pieces, and on asyncio. Every
log is the one on the page."""
import asyncio
import glob
import os

import pytest

from smtpfilter.replay import Transcript

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
PAGES = sorted(glob.glob(os.path.join(TOP, "tests", "transcripts", "*.md")))


def test_there_are_transcripts():
    assert len(PAGES) > 200


@pytest.mark.parametrize("path", PAGES, ids=lambda p: os.path.basename(p)[:-3])
def test_transcript(path):
    page = Transcript.load(path)
    assert page.play() == page.expected
    assert page.play(feed=7) == page.expected
    assert asyncio.run(page.play_async()) == page.expected
