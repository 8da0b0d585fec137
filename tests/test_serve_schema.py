"""Requests made out of the service's own OpenAPI, right and malformed, against the running service."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance, unsupported_method

import mcfast
from service_problems import process
from serving_problems import made

# Which requests are right is more than a schema can say: one of three lists is given, ids are of the kind of the model.
UNCHECKED = [positive_data_acceptance, unsupported_method]
EXAMPLES = {GenerationMode.POSITIVE: 50, GenerationMode.NEGATIVE: 100}


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    folder = tmp_path_factory.mktemp("schema")
    mcfast.publish(made(), folder / "root")
    with process(folder / "root", folder / "log") as running:
        yield schemathesis.openapi.from_url(f"http://127.0.0.1:{running.port}/openapi.json")


@pytest.mark.parametrize("mode", EXAMPLES, ids=lambda mode: mode.value)
def test_every_answer_is_as_described(schema, mode):
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 10
    for operation in operations:
        names = {parameter.name for parameter in operation.iter_parameters()}
        if mode is GenerationMode.NEGATIVE and not (operation.body or "k" in names):
            continue  # all it takes is text, of which nothing can be wrong

        @given(operation.as_strategy(generation_mode=mode))
        @settings(max_examples=EXAMPLES[mode], deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        def check(case):
            case.call_and_validate(excluded_checks=UNCHECKED, timeout=30)

        check()
