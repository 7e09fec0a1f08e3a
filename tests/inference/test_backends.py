"""Continuous batching, and a server that speaks vLLM's HTTP on the loopback interface."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from arcgym.errors import ConfigError, GenerationError
from arcgym.inference import ContinuousBackend, RolloutBackend, SamplingConfig, ServerBackend, Stage
from arcgym.models.sampling import Request

PROMPTS = ["Input:\n12\n", "a", "Program:\n"]
SAMPLING = SamplingConfig(num_samples=1, max_new_tokens=5, batch_size=8)


def requests_of(tokenizer, num=1):
    return [Request(tokenizer(prompt)["input_ids"], prompt, num=num) for prompt in PROMPTS]


def test_continuous_batching_is_greedy_like_the_rollout_and_draws_by_seed(tiny_model, byte_tokenizer):
    continuous = ContinuousBackend(tiny_model, byte_tokenizer, SAMPLING)
    rollout = RolloutBackend(tiny_model, byte_tokenizer, SAMPLING)
    greedy = [
        [completion.text for completion in samples]
        for samples in continuous.generate(requests_of(byte_tokenizer), Stage("greedy"))
    ]
    assert greedy == [
        [completion.text for completion in samples]
        for samples in rollout.generate(requests_of(byte_tokenizer), Stage("greedy"))
    ]
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    drawn = continuous.generate(requests_of(byte_tokenizer, num=3), Stage("sample"))
    assert torch.equal(torch.rand(2), expected)
    assert [len(samples) for samples in drawn] == [3, 3, 3]
    assert all(len({completion.text for completion in samples}) > 1 for samples in drawn)
    assert continuous.generate(requests_of(byte_tokenizer, num=3), Stage("sample")) == drawn


@pytest.mark.parametrize("strategy", ["beam", "diverse_beam"])
def test_backends_without_beams_say_so(tiny_model, byte_tokenizer, strategy):
    with pytest.raises(ConfigError, match="backend: rollout"):
        ContinuousBackend(tiny_model, byte_tokenizer, SAMPLING).generate([], Stage(strategy))


class Server:
    """Serves a tiny model by the part of vLLM's HTTP interface that is asked for; `fault` breaks an answer."""

    def __init__(self, model, tokenizer):
        self.bodies = []
        self.fault = None
        self.rollout = RolloutBackend(model, tokenizer, SamplingConfig(num_samples=1, max_new_tokens=5))
        self.tokenizer = tokenizer
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def answer(self, value, status=200):
                content = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self):
                assert self.path == "/v1/models"
                self.answer({"object": "list", "data": [{"id": "tiny", "object": "model", "max_model_len": 77}]})

            def do_POST(self):
                assert self.path == "/v1/completions"
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if outer.fault is not None:
                    self.answer(*outer.fault)
                else:
                    self.answer({"object": "text_completion", "choices": outer.complete(body)})

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def complete(self, body):
        """As vLLM draws: from the prompt, the settings and the seed of the request."""
        stage = Stage("sample", temperature=body["temperature"]) if body["temperature"] else Stage("greedy")
        with self.lock:
            self.bodies.append(body)
            request = Request(body["prompt"], f"seed {body['seed']}", num=body["n"])
            (completions,) = self.rollout.generate([request], stage)
        choices = []
        for index, completion in enumerate(completions):
            tokens = self.tokenizer(completion.text)["input_ids"]
            logprobs = {"token_logprobs": [-0.5] * len(tokens)}
            choices.append({"index": index, "text": completion.text, "token_ids": tokens, "logprobs": logprobs})
        return choices[::-1]  # the index counts, not the order


@pytest.fixture
def server(tiny_model, byte_tokenizer, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server(tiny_model, byte_tokenizer)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join(timeout=10)


def test_the_server_is_asked_as_vllm_wants_it(server, byte_tokenizer):
    backend = ServerBackend(server.url + "/", byte_tokenizer, SAMPLING, timeout_s=20)
    assert (backend.model_name, backend.context) == ("tiny", 77)
    stage = Stage("sample", temperature=0.5, top_p=0.9, top_k=40, min_p=0.05)
    asked = requests_of(byte_tokenizer, num=3)
    completions = backend.generate(asked, stage)
    assert [len(samples) for samples in completions] == [3, 3, 3]
    assert [completion.log_prob for completion in completions[0]] == [
        -0.5 * completion.num_tokens for completion in completions[0]
    ]
    assert Counter(tuple(body["prompt"]) for body in server.bodies) == {tuple(entry.prompt): 1 for entry in asked}
    wanted = {"model": "tiny", "n": 3, "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.05}
    assert all(wanted.items() <= body.items() for body in server.bodies)
    assert len({body["seed"] for body in server.bodies}) == 3
    assert backend.generate(asked, stage) == completions, "the same seeds"
    later = [entry._replace(first=3) for entry in asked]
    assert backend.generate(later, stage) != completions


def test_greedy_on_the_server_is_greedy_here(server, tiny_model, byte_tokenizer):
    def texts(backend):
        return [samples[0].text for samples in backend.generate(requests_of(byte_tokenizer), Stage("greedy"))]

    backend = ServerBackend(server.url, byte_tokenizer, SAMPLING, timeout_s=20)
    assert texts(backend) == texts(RolloutBackend(tiny_model, byte_tokenizer, SAMPLING))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (({"error": {"message": "the prompt is too long"}}, 400), "400: .*too long"),
        ((b"<html>", 200), "gave no answer"),
        (({"choices": []}, 200), "0 completions of 1"),
    ],
)
def test_a_server_that_fails_is_an_error_with_its_words(server, byte_tokenizer, fault, message):
    backend = ServerBackend(server.url, byte_tokenizer, SAMPLING, timeout_s=20)
    server.fault = fault
    with pytest.raises(GenerationError, match=message):
        backend.generate(requests_of(byte_tokenizer), Stage("greedy"))


def test_no_server_is_an_error_that_says_what_to_do(server, byte_tokenizer):
    url = server.url
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(GenerationError, match="vllm serve"):
        ServerBackend(url, byte_tokenizer, SAMPLING, timeout_s=5)
    for settings in ({"url": "localhost:8000"}, {"url": url, "timeout_s": 0}):
        with pytest.raises(ConfigError, match="server_"):
            ServerBackend(tokenizer=byte_tokenizer, sampling=SAMPLING, **settings)
