"""What ships: the rules and the model in models/default/, and what docs/rules.md says of them."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

import models
from features.shop import shop_definitions
from models import artefact, rules
from models.decide import Decider, unusual_sessions

ROOT = Path(__file__).resolve().parents[3]
DEFAULT = Path(models.__file__).parent / "default"
DOCS = (ROOT / "docs" / "rules.md").read_text()
DEFINITIONS = shop_definitions()
NAMES = DEFINITIONS.vector.names
SESSION = DEFINITIONS.session.names if DEFINITIONS.session else ()


def shipped_rules() -> rules.Rules:
    return rules.load(DEFAULT / "rules.toml", NAMES, SESSION)


def shipped_model() -> artefact.Artefact:
    return artefact.load(DEFAULT / "shop-logistic" / "1", NAMES, DEFINITIONS.vector.hash)


def order(**features: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """A first order of 50.00 with everything known, and what differs from it."""
    row = dict.fromkeys(NAMES, 0.0)
    for name in NAMES:
        if "_count_" in name or "_distinct_" in name or name == "order_items":
            row[name] = 1.0
        elif name == "order_amount" or any(part in name for part in ("_sum_", "_mean_", "_max_")):
            row[name] = 50.0
        elif name.endswith("_since_last_s") or "_recent_gap_s_" in name or "_recent_same_" in name:
            row[name] = -1.0
    unknown = set(features) - set(row)
    assert not unknown, f"no such features: {unknown}"
    return np.array([list((row | features).values())])


def test_the_model_that_ships_is_made_for_the_features_that_ship() -> None:
    """Fails after a change of any feature's definition: run `headrace fit --data DIR --out models/default` again."""
    assert shipped_model().label == "shop-logistic/1"


def test_the_manifest_says_what_the_model_was_fitted_on_and_what_that_lacks() -> None:
    manifest = shipped_model().manifest
    assert manifest.data["train"]["frauds"] > 100
    assert "devices, IP addresses and sessions" in manifest.data["lacks"]
    assert manifest.metrics["gain"]["auc"]["low"] > 0


def test_the_model_has_no_opinion_on_what_its_data_could_not_show() -> None:
    groups = {name.split("_")[0] for name in shipped_model().model.reads}
    assert groups <= {"order", "user"}


def test_the_figure_is_that_of_the_model_that_ships() -> None:
    figure = json.loads((ROOT / "docs" / "figures" / "fraud-handbook-logistic.json").read_text())
    manifest = shipped_model().manifest
    assert figure["value"] == {name: manifest.metrics[name] for name in figure["value"]}
    assert figure["data_hash"] == manifest.data["hash"]


@pytest.mark.parametrize(
    ("features", "action", "rule"),
    [
        ({"device_distinct_cards_1h": 5}, "block", "card_testing_device"),
        ({"ip_distinct_cards_1h": 9, "ip_mean_1h": 5}, "block", "card_testing_ip"),
        ({"card_count_10m": 12}, "block", "card_hammered"),
        ({"card_count_10m": 5, "order_countries_differ": 1}, "block", "card_hammered_abroad"),
        ({"device_distinct_users_24h": 7}, "block", "device_ring_large"),
        ({"device_distinct_users_24h": 3}, "review", "device_ring"),
        ({"card_distinct_users_7d": 3}, "review", "card_shared"),
        ({"card_count_1h": 3, "card_sum_1h": 900, "card_distinct_ips_24h": 2}, "review", "card_spree"),
        ({"user_distinct_cards_24h": 3}, "review", "user_many_cards"),
        ({"user_count_10m": 8}, "review", "user_hammered"),
        ({"order_amount": 900, "user_count_30d": 8, "user_sum_30d": 1_500}, "review", "far_above_usual"),
        ({"ip_distinct_users_1h": 8}, "review", "address_busy"),
    ],
)
def test_each_rule_that_ships_stops_what_it_is_for(features: dict[str, float], action: str, rule: str) -> None:
    decided = Decider(shipped_rules(), None, NAMES).decide(order(**features))
    assert decided.action == [action]
    assert decided.rules[0][0] == rule


def test_every_rule_that_ships_is_tried_above() -> None:
    (mark,) = test_each_rule_that_ships_stops_what_it_is_for.pytestmark  # type: ignore[attr-defined]  # set by the decorator
    assert [rule for _, _, rule in mark.args[1]] == [rule.name for rule in shipped_rules().rules]


def test_an_ordinary_first_order_passes_rules_and_model() -> None:
    decided = Decider(shipped_rules(), shipped_model().model, NAMES).decide(order())
    assert (decided.action, decided.rules, decided.reasons) == (["allow"], [()], [()])


def test_a_few_small_orders_are_not_yet_what_an_account_usually_spends() -> None:
    decider = Decider(shipped_rules(), None, NAMES)
    assert decider.decide(order(order_amount=900, user_count_30d=7, user_sum_30d=1_000)).action == ["allow"]


def test_session_rules_that_ship_know_a_bot_and_a_stuffed_cart() -> None:
    quiet = {"session_events": 5.0, "session_events_per_minute": 3.0, "session_seconds_to_checkout": -1.0}
    sessions = [
        quiet,
        {"session_events": 90.0, "session_events_per_minute": 120.0, "session_seconds_to_checkout": -1.0},
        quiet | {"session_distinct_products": 40.0, "session_cart_value": 9_000.0},
        quiet | {"session_seconds_to_checkout": 0.5, "session_cart_value": 900.0},
    ]
    x = np.array([[row.get(name, 0.0) for name in SESSION] for row in sessions])
    found = unusual_sessions(shipped_rules(), SESSION, x)
    assert [(one.row, one.rule) for one in found] == [(1, "bot"), (2, "cart_stuffing"), (3, "instant_checkout")]


@pytest.mark.parametrize("block", re.findall(r"```toml\n(.*?)```", DOCS, re.S))
def test_the_examples_of_the_docs_work_as_they_stand(block: str) -> None:
    rules.parse(block, NAMES, SESSION)


def test_a_new_rule_over_an_existing_feature_works_beside_those_that_ship() -> None:
    """The first example of docs/rules.md, put behind the file that ships: what an outsider does."""
    example = re.findall(r"```toml\n(.*?)```", DOCS, re.S)[0]
    both = rules.parse((DEFAULT / "rules.toml").read_text() + example, NAMES, SESSION)
    decided = Decider(both, None, NAMES).decide(order(order_amount=600, user_since_first_s=3_600))
    assert decided.rules == [("new_and_large",)]
    assert decided.reasons[0][0].text == "600.00 by an account first seen 1.0 hours ago"


BAD = [
    ("when", "card_cuont_10m > 5"),
    ("when", "order_amount"),
    ("when", "order_amount ** 2 > 9"),
    ("action", "deny"),
    ("text", "{order_amont} spent"),
]


@pytest.mark.parametrize(("key", "value"), BAD)
def test_the_errors_of_the_docs_are_those_that_are_shown(key: str, value: str) -> None:
    example = tomllib.loads(re.findall(r"```toml\n(.*?)```", DOCS, re.S)[0])["rule"][0]
    text = "[[rule]]\n" + "\n".join(f"{name} = {json.dumps(each)}" for name, each in (example | {key: value}).items())
    with pytest.raises(rules.RulesError) as error:
        rules.parse(text, NAMES, SESSION, source="my-rules.toml")
    assert str(error.value) in " ".join(DOCS.split())
