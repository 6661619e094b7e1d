"""Nothing is lost: every command is disturbed in every way that is known, by a fixed seed, and what it leaves compared.

``pytest -m slow -n 0 -s tests/commands/test_campaign.py`` does the whole campaign and prints its table. A fault is
*survived* if the same command again gives the same to the last byte. It is a *clear message* if the command ended with
status 1 or 2 (130, 143 after a signal) and one message that names what is wrong and what to do, and gives the same to
the last byte when the cause is gone. Everything else is *lost*.
"""

import signal

import numpy as np
import pytest
from helpers.campaign.damage import damage
from helpers.campaign.disks import disks
from helpers.campaign.inputs import inputs
from helpers.campaign.jobs import make_base
from helpers.campaign.judge import LOST, Scene, judge, table
from helpers.campaign.parts import parts
from helpers.campaign.stops import stops
from helpers.campaign.zygote import Zygote

SEED = 7
QUICK = ("audit", "export h5", "crops")  # commands that take tenths of a second


def all_faults():
    return [*stops(), *disks(), *damage(), *inputs(), *parts()]


@pytest.fixture
def disturbed(tmp_path, monkeypatch):
    """What judges faults, each with numbers of its own."""

    def run(faults, zygote=None):
        place, base, counts = tmp_path / "place", tmp_path / "base", {}
        monkeypatch.syspath_prepend(str(place))
        expected = make_base(place, base, {fault.job for fault in faults})
        rngs = np.random.default_rng(SEED).spawn(len(faults))
        scenes = (Scene(place, base, expected, rng, zygote, counts) for rng in rngs)
        return [judge(fault, scene) for fault, scene in zip(faults, scenes, strict=True)]

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a command in the background does not have
    yield run
    signal.signal(signal.SIGINT, before)


def lost(judged):
    return [one for one in judged if one.verdict == LOST]


@pytest.mark.slow
def test_a_sample_of_the_campaign_loses_nothing(disturbed):
    known = [fault for fault in all_faults() if fault.job in QUICK and not fault.own_process]
    sample = np.random.default_rng(SEED).permutation(len(known))[:8]
    judged = disturbed([known[k] for k in sample])
    assert len(judged) == 8 and lost(judged) == []


@pytest.mark.slow
def test_the_campaign_loses_nothing(disturbed):
    faults = all_faults()
    with Zygote() as zygote:
        judged = disturbed(faults, zygote)
    print(f"\n{table(judged)}")
    for one in lost(judged):
        print(f"lost: {one.kind} | {one.job} | {one.why}")
    assert len(judged) >= 200 and len({one.kind for one in judged}) >= 25
    assert lost(judged) == []
