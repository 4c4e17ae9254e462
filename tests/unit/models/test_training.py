"""A whole training, tiny: what it records, what each setting changes, and that a killed run ends as an unkilled one."""

import json
import math
import multiprocessing
import signal
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'windvane[models]')")
pytest.importorskip("transformers", reason="transformers is not installed (pip install 'windvane[models]')")

from safetensors.torch import load_file  # noqa: E402

from models.batches import training_tokenizer  # noqa: E402
from models.joint import JointTask  # noqa: E402
from models.loop import enough_memory, in_steps, learn  # noqa: E402
from models.network import build_network  # noqa: E402
from models.run import Run, RunRecord  # noqa: E402
from models.runs import find_runs, hold  # noqa: E402
from models.train import load_data, train  # noqa: E402
from pipeline.errors import WindvaneError  # noqa: E402
from tests.unit.models.tiny_training import make_encoder, tiny_config  # noqa: E402


def weights(config) -> dict[str, torch.Tensor]:
    return load_file(Path(config.work) / "trained.safetensors")


def task_of(config):
    training, _, _ = load_data(config, training_tokenizer(Path(config.encoder), config.max_tokens))
    torch.manual_seed(1)
    network = build_network(Path(config.encoder), config.dropout).train()
    return network, JointTask(network, config, training, network.pad), training


def test_a_run_learns_and_its_record_is_whole(tmp_path):
    config = tiny_config(tmp_path, repeats={"fpb": 8.0, "twitter": 8.0}, passes=3, lr=5e-3, freeze_embeddings=False)
    train(config)
    record = json.loads((tmp_path / "work" / "run.json").read_text("utf-8"))
    assert record["config"] == config.as_dict()
    assert len(record["data"]["sha256"]) == 64
    assert record["data"]["rows"]["fpb"]["training"] > 100
    assert record["state"] == "finished" and record["stopped"] == ""
    assert record["steps"] == record["planned"] > 25
    assert record["tokens"] > 1000 and record["seconds"] > 0 and record["started"].endswith("Z")
    assert record["curve"] and {"step", "loss", "sentiment", "fpb"} <= set(record["curve"][0])
    assert [point["step"] for point in record["validation"]][-1] == record["steps"]
    assert len(record["validation"]) == config.passes + 1
    assert record["validation"][-1]["fpb"] > 0.9, "the verb says the label"
    assert record["machine"]["device"] in ("cpu", "cuda")
    (run,) = find_runs(tmp_path)
    assert (run.name, run.state, run.steps, run.seed) == ("work", "finished", record["steps"], config.seed)
    assert run.scores["fpb"] == record["validation"][-1]["fpb"]
    assert run.best["fpb"] == max(point["fpb"] for point in record["validation"])


def train_all_techniques(folder: Path, work: Path) -> None:
    """A training with everything random in it, that writes a checkpoint after each step."""
    torch.set_num_threads(1)
    train(
        tiny_config(
            folder, work=str(work), checkpoint_minutes=0.0, token_dropout=0.1, r_drop=0.5, fgm=0.1, patience=3,
            passes=4, repeats={"fpb": 8.0, "twitter": 8.0},
        )
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(torch.cuda.is_available(), reason="bit by bit on a CPU only")
def test_a_run_killed_twice_ends_with_the_weights_of_one_that_was_not(tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    tiny_config(tmp_path)  # makes encoder and data
    fork = multiprocessing.get_context("fork")  # the test has torch already; a new Python would load it first
    steps = [0]
    for _ in range(2):
        process = fork.Process(target=train_all_techniques, args=(tmp_path, killed))
        process.start()
        deadline = time.monotonic() + 400
        while process.is_alive() and time.monotonic() < deadline and step_of(killed) < steps[-1] + 20:
            time.sleep(0.01)
        assert process.is_alive(), "it was to be killed on its way"
        process.kill()  # SIGKILL
        process.join()
        assert process.exitcode == -signal.SIGKILL
        steps.append(step_of(killed))
        (run,) = find_runs(tmp_path)
        assert run.state == "stopped", "killed, it cannot say so itself"
    for work in (killed, whole):
        train_all_techniques(tmp_path, work)
    records = [json.loads((work / "run.json").read_text("utf-8")) for work in (killed, whole)]
    assert 20 <= steps[1] < steps[2] < records[0]["planned"]
    one, other = (load_file(work / "trained.safetensors") for work in (killed, whole))
    for name in one:
        assert torch.equal(one[name], other[name]), name
    for key in ("steps", "tokens", "curve", "best"):
        assert records[0][key] == records[1][key], key
    scores = [[{**point, "seconds": 0} for point in record["validation"]] for record in records]
    assert scores[0] == scores[1]


def step_of(work: Path) -> int:
    """The last step in a run's record; 0 before there is one."""
    file = work / "run.json"
    return int(json.loads(file.read_text("utf-8"))["steps"]) if file.exists() else 0


def test_a_second_process_in_the_same_folder_is_told(tmp_path):
    config = tiny_config(tmp_path)
    Path(config.work).mkdir()
    with hold(Path(config.work)):
        assert [run.state for run in find_runs(tmp_path)] == []
        with pytest.raises(WindvaneError, match="another process is training"):
            train(config)


def test_early_stopping_stops_and_keeps_the_best(tmp_path):
    config = tiny_config(tmp_path, lr=0.0, head_lr=0.0, patience=2, passes=6, repeats={"fpb": 6.0, "twitter": 6.0})
    record = train(config)
    assert len(record.validation) == 3 + 1, "one that is the best, two that are not better, and that of what is kept"
    assert record.steps < record.planned
    assert record.stopped == f"no better validation than at step {record.validation[0]['step']}"
    again = train(config)
    assert (again.steps, again.stopped) == (record.steps, record.stopped), "started again, it stays stopped"
    more = train(tiny_config(tmp_path, patience=0, passes=6, work=str(tmp_path / "more")))
    assert more.steps == more.planned and not more.stopped


def test_with_patience_the_weights_of_the_best_validation_are_kept(tmp_path):
    network = torch.nn.Linear(1, 1, bias=False)
    run = Run(
        tiny_config(tmp_path, patience=2, ema=0.5), network, torch.optim.SGD(network.parameters()),
        RunRecord({}, {}, {}), tmp_path, "cpu",
    )  # fmt: skip
    for step, score in enumerate((0.50, 0.61, 0.60, 0.61), start=1):
        assert not run.out_of_patience
        run.record.steps = step
        torch.nn.init.constant_(network.weight, float(step))
        run.update_average(0.5)
        with run.as_kept():
            kept = float(network.weight.detach())  # what is validated
        assert float(network.weight.detach()) == step, "training goes on from its own weights"
        run.judge(score)
        if step == 2:
            best = kept
    assert run.out_of_patience, "as good as the best is not better"
    run.take_kept()
    assert float(network.weight.detach()) == best != step
    assert run.record.best == {"step": 2, "score": 0.61, "since": 2}


def test_lora_leaves_everything_but_attention_and_heads_as_it_was(tmp_path):
    config = tiny_config(tmp_path, lora=4)
    start = build_network(Path(config.encoder), 0.1).released_state()
    train(config)
    after = weights(config)
    assert after.keys() == start.keys(), "the same format as without LoRA"
    changed = {name for name in after if name.startswith("encoder.") and not torch.equal(after[name], start[name])}
    assert changed and all(".attention." in name and name.endswith("weight") for name in changed)


def test_r_drop_is_nothing_without_dropout_and_something_with(tmp_path):
    parts = {}
    for dropout in (0.0, 0.3):
        config = tiny_config(tmp_path, r_drop=1.0, dropout=dropout)
        network, task, training = task_of(config)
        for module in network.encoder.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = dropout
        batch, _ = task.batch(training["fpb"][:16])
        parts[dropout] = task.loss(batch)[1]["r_drop"]
    assert parts[0.0] == pytest.approx(0.0, abs=1e-6)
    assert parts[0.3] > 1e-4


def test_class_weights_raise_the_gradient_of_a_rare_class(tmp_path):
    shares = {}
    for on in (False, True):
        config = tiny_config(tmp_path, class_weights=on, dropout=0.0, smoothing=0.0, token_dropout=0.0)
        network, task, training = task_of(config)
        network.eval()
        norms = []
        for label in (2, 0):  # positive: one text in four; negative: two in four
            items = [item for item in training["fpb"] if item.example.sentiment == label][:8]
            network.zero_grad()
            task.loss(task.batch(items)[0])[0].backward()
            norms.append(float(network.heads["sentiment"].weight.grad.norm()))
        shares[on] = norms[0] / norms[1]
    assert shares[True] == pytest.approx(shares[False] * math.sqrt(2), rel=0.1)


class Distance:
    """Task: one number goes towards the items' mean."""

    def __init__(self, network):
        self.network = network

    def batch(self, items):
        return torch.tensor(items), len(items)

    def loss(self, batch):
        loss = ((self.network.weight - batch) ** 2).mean()
        return loss, {"distance": loss.item()}


def test_accumulated_batches_make_the_step_of_one_large_batch(tmp_path):
    config = tiny_config(tmp_path, clip=1e9)
    after = []
    for batches in ([[1.0, 2.0, 3.0], [8.0]], [[1.0, 2.0, 3.0, 8.0]]):
        network = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(network.weight)
        run = Run(
            config, network, torch.optim.SGD(network.parameters(), lr=0.1), RunRecord({}, {}, {}), tmp_path, "cpu"
        )
        parts = learn(run, Distance(network), batches, None)
        after.append((float(network.weight.detach()), parts["distance"], run.record.tokens))
    assert after[0] == pytest.approx(after[1])
    assert after[0][0] == pytest.approx(0.1 * 2 * 3.5), "one step along the gradient of the mean over all four"
    assert [len(step) for step in in_steps([[1], [2], [3]], 2)] == [2, 1]


def test_a_loss_that_is_no_number_is_a_sentence(tmp_path):
    network = torch.nn.Linear(1, 1, bias=False)
    run = Run(
        tiny_config(tmp_path), network, torch.optim.SGD(network.parameters()), RunRecord({}, {}, {}), tmp_path, "cpu"
    )
    with pytest.raises(WindvaneError, match="the loss became nan at step 1: lower lr"):
        learn(run, Distance(network), [[float("nan")]], None)


def test_weights_of_another_encoder_are_a_sentence(tmp_path):
    config = tiny_config(tmp_path)
    train(config)
    from transformers import BertConfig, BertModel

    other = make_encoder(tmp_path / "wider")
    before = BertConfig.from_pretrained(other)
    before.hidden_size = 32
    BertModel(before).save_pretrained(other)
    start = str(Path(config.work) / "trained.safetensors")
    with pytest.raises(
        WindvaneError, match=r"do not fit this network: .* should be \[.*32.*\], found \[.*16.*\]\. Set"
    ):
        train(tiny_config(tmp_path, encoder=str(other), start=start, work=str(tmp_path / "b")))
    (tmp_path / "no.safetensors").write_bytes(b"not one")
    with pytest.raises(WindvaneError, match="should be a safetensors file"):
        train(tiny_config(tmp_path, start=str(tmp_path / "no.safetensors"), work=str(tmp_path / "c")))


def test_a_checkpoint_of_another_configuration_other_data_or_damaged_is_a_sentence(tmp_path):
    config = tiny_config(tmp_path)
    train(config)
    with pytest.raises(WindvaneError, match=r"another configuration \(lr, seed differ\): give this run another name"):
        train(tiny_config(tmp_path, lr=0.5, seed=3))
    file = tmp_path / "data" / "en_sent" / "fpb.jsonl"
    kept = file.read_text("utf-8")
    file.write_text(kept[: kept.rindex("{")], "utf-8")
    with pytest.raises(WindvaneError, match="other data"):
        train(config)
    file.write_text(kept, "utf-8")
    (Path(config.work) / "checkpoint.pt").write_bytes(b"half a file")
    with pytest.raises(WindvaneError, match="should be a checkpoint of this run"):
        train(config)


@pytest.mark.parametrize(
    "encoder, sentence",
    [
        ("no/such-encoder", r"expected a Hugging Face encoder at no/such-encoder, but it cannot be loaded"),
        ("damaged", "cannot be loaded"),
        ("of another", "lack .* tensors of a BertModel"),
    ],
)
def test_an_encoder_that_cannot_be_used_is_a_sentence(tmp_path, monkeypatch, encoder, sentence):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    if encoder != "no/such-encoder":
        folder = make_encoder(tmp_path / encoder)
        weights = folder / "model.safetensors"
        if encoder == "damaged":
            weights.write_bytes(weights.read_bytes()[:100])
        else:
            from safetensors.torch import save_file

            save_file({"something.else": torch.zeros(2)}, weights, metadata={"format": "pt"})
        encoder = str(folder)
    with pytest.raises(WindvaneError, match=sentence):
        train(tiny_config(tmp_path, encoder=encoder))


def test_too_little_memory_is_a_sentence_that_names_tokens(tmp_path):
    class Running:
        config = tiny_config(tmp_path, tokens=4096, accumulate=2)
        device = "cpu"

    with (
        pytest.raises(
            WindvaneError, match=r"memory of this machine .* 4096 tokens\. Set tokens = 2048 .* accumulate = 4"
        ),
        enough_memory(Running()),
    ):
        torch.empty(10**15)
    with pytest.raises(WindvaneError, match="tokens = 2048"), enough_memory(Running()):
        raise torch.OutOfMemoryError("CUDA out of memory.")
    with pytest.raises(RuntimeError, match="something else"), enough_memory(Running()):
        raise RuntimeError("something else")


def test_event_files_are_written_when_asked_for(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed (pip install 'windvane[tensorboard]')")
    train(tiny_config(tmp_path, tensorboard=True, repeats={"fpb": 10.0}))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "work"))
    events.Reload()
    assert {"loss/loss", "rate", "validation/fpb"} <= set(events.Tags()["scalars"])
