"""Each technique changes what it says it changes, and nothing else."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'windvane[models]')")
pytest.importorskip("transformers", reason="transformers is not installed (pip install 'windvane[models]')")

from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel  # noqa: E402

from models.lora import add_lora, attention_projections, merge_lora  # noqa: E402
from models.losses import NONE  # noqa: E402
from models.techniques import Adversary, ClassWeights, disagreement, inverse_root  # noqa: E402
from pipeline.errors import WindvaneError  # noqa: E402


def bert(dropout: float = 0.0):
    torch.manual_seed(0)
    return BertModel(
        BertConfig(
            vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
            hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
        )
    )  # fmt: skip


def test_equal_passes_do_not_disagree_and_others_do_both_ways_the_same() -> None:
    first, second = torch.randn(5, 3), torch.randn(5, 3)
    rows = torch.ones(5)
    assert float(disagreement(first, first, rows)) == pytest.approx(0.0, abs=1e-6)
    assert float(disagreement(first, second, rows)) > 0.01
    assert float(disagreement(first, second, rows)) == pytest.approx(float(disagreement(second, first, rows)))
    p, q = first.softmax(1), second.softmax(1)
    by_hand = 0.5 * ((p * (p / q).log()).sum() + (q * (q / p).log()).sum())
    assert float(disagreement(first, second, rows)) == pytest.approx(float(by_hand), rel=1e-5)
    assert float(disagreement(first, second, torch.zeros(5))) == 0.0, "what is not labelled does not count"


def test_labels_that_may_hold_together_disagree_one_by_one() -> None:
    first, second = torch.randn(4, 2), torch.randn(4, 2)
    p, q = first.sigmoid(), second.sigmoid()
    each = 0.5 * (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
                  + q * (q / p).log() + (1 - q) * ((1 - q) / (1 - p)).log())  # fmt: skip
    one = torch.zeros(4, 2)
    one[2, 1] = 1.0
    assert float(disagreement(first, second, torch.ones(4, 2))) == pytest.approx(float(each.sum()), rel=1e-4)
    assert float(disagreement(first, second, one)) == pytest.approx(float(each[2, 1]), rel=1e-4)


@pytest.mark.parametrize("frozen", [False, True])
def test_the_attack_moves_each_text_by_epsilon_raises_its_loss_and_leaves_the_weights_bit_by_bit(frozen: bool) -> None:
    encoder = bert()
    table = encoder.get_input_embeddings().weight
    table.requires_grad = not frozen
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    ids = torch.randint(3, 40, (4, 7))
    aim = torch.randn(4, 16)
    leaving = []
    adversary = Adversary(encoder.get_input_embeddings(), epsilon=0.1)
    encoder.get_input_embeddings().register_forward_hook(lambda m, i, vectors: leaving.append(vectors.detach().clone()))

    def loss():
        return ((encoder(input_ids=ids).last_hidden_state.mean(1) - aim) ** 2).sum()

    plain = loss()
    plain.backward()
    with adversary.attack():
        attacked = loss()
        attacked.backward()
    moved = (leaving[1] - leaving[0]).flatten(1).norm(dim=1)
    torch.testing.assert_close(moved, torch.full((4,), 0.1), rtol=1e-4, atol=1e-5)
    assert float(attacked) > float(plain)
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert float(loss()) == float(plain), "after the attack, the network answers as before"
    adversary.remove()
    with torch.no_grad():
        assert float(loss()) == float(plain)


def test_an_attack_without_a_gradient_is_refused() -> None:
    adversary = Adversary(bert().get_input_embeddings(), 0.1)
    with pytest.raises(RuntimeError, match="backward pass"), adversary.attack():
        pass


def test_weights_are_inverse_roots_with_a_mean_of_one_over_what_was_counted() -> None:
    counts = torch.tensor([[100, 400, 0], [7, 7, 7]])
    weights = inverse_root(counts)
    assert float(weights[0, 0] / weights[0, 1]) == pytest.approx(2.0)
    assert float((weights * counts).sum(1)[0]) == pytest.approx(500.0)
    assert weights[1].tolist() == pytest.approx([1.0, 1.0, 1.0])
    assert float(weights[0, 2]) == 1.0


def test_class_weights_are_of_the_set_and_the_head_and_raise_the_rare_class() -> None:
    targets = {
        "a": {"sentiment": torch.tensor([0] * 9 + [2]), "finnl": torch.full((10, 2), float(NONE))},
        "b": {"sentiment": torch.tensor([0] * 5 + [2] * 5), "finnl": torch.tensor([[1.0, 0.0]] * 9 + [[0.0, 0.0]])},
    }
    weights = ClassWeights(targets, ["sentiment", "finnl"])
    sets = weights.indices(["a", "a", "b", "b"])
    found = weights.rows("sentiment", sets, torch.tensor([0, 2, 0, NONE]))
    assert float(found[1] / found[0]) == pytest.approx(3.0)  # root of 9
    assert float(found[2]) == pytest.approx(1.0)
    labels = weights.rows("finnl", sets, torch.tensor([[-1.0, -1.0]] * 2 + [[1.0, 0.0], [0.0, 0.0]]))
    assert float(labels[3, 0] / labels[2, 0]) == pytest.approx(3.0)
    assert float(labels[2, 1]) == pytest.approx(1.0)


def test_lora_trains_its_matrices_alone_and_merged_answers_the_same() -> None:
    encoder = bert().eval()
    ids = torch.randint(3, 40, (3, 6))
    names = set(encoder.state_dict())
    with torch.no_grad():
        first = encoder(input_ids=ids).last_hidden_state
        add_lora(encoder, rank=4)
        torch.testing.assert_close(encoder(input_ids=ids).last_hidden_state, first)  # no change at the start
    learning = [name for name, value in encoder.named_parameters() if value.requires_grad]
    assert learning and all(".lora_" in name for name in learning)
    with torch.no_grad():
        for name, value in encoder.named_parameters():
            if ".lora_" in name:
                value.copy_(torch.randn_like(value) * 0.1)
        unmerged = encoder(input_ids=ids).last_hidden_state
        merge_lora(encoder)
        merged = encoder(input_ids=ids).last_hidden_state
    assert set(encoder.state_dict()) == names, "a released encoder has its own tensors only"
    assert float((unmerged - first).abs().max()) > 0.01
    torch.testing.assert_close(merged, unmerged, rtol=1e-4, atol=1e-5)


def test_lora_finds_attention_whatever_its_layers_are_called() -> None:
    distil = DistilBertModel(DistilBertConfig(vocab_size=40, dim=16, n_layers=1, n_heads=2, hidden_dim=32))
    assert {name.rpartition(".")[2] for name in attention_projections(distil)} == {"q_lin", "k_lin", "v_lin", "out_lin"}
    with pytest.raises(WindvaneError, match=r"Sequential has none.*lora = 0"):
        attention_projections(torch.nn.Sequential(torch.nn.Linear(2, 2)))
