"""A small Hugging Face Hub on loopback, for the real `huggingface_hub` client: repositories in memory, one process.

It speaks what the client asks for when a folder is pushed without Xet, and when a model is loaded:

    POST /api/repos/create                        GET  /api/models/{id}
    POST /api/validate-yaml                       GET  /api/models/{id}/revision/{revision}
    POST /api/models/{id}/branch/{branch}         GET  /api/models/{id}/tree/{revision}[/{folder}]
    POST /api/models/{id}/preupload/{revision}    GET  /api/models/{id}/refs
    POST /{id}.git/info/lfs/objects/batch         HEAD, GET /{id}/resolve/{revision}/{file}
    PUT  /lfs/{hash}, POST /lfs/{hash}
    POST /api/models/{id}/commit/{revision}
    POST /api/models/{id}/tag/{revision}

Everything else is 404, as it may be. Writing needs the token. `HubServer.failures` makes chosen requests fail.
"""

import base64
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_loopback_server"
HANG_UP = "hang up"  # a failure: the connection is closed in the middle of the request's body
_MAX_BODY = 64 << 20


@dataclass
class Repository:
    """Files of every commit by hash; branches and tags name commits."""

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"0" * 40: {}})
    summaries: list[str] = field(default_factory=list)
    branches: dict[str, str] = field(default_factory=lambda: {"main": "0" * 40})
    tags: dict[str, str] = field(default_factory=dict)

    def find(self, revision):
        """The hash that a branch, a tag or a hash stands for, or None."""
        known = self.branches | self.tags | {sha: sha for sha in self.commits}
        return known.get(revision)

    def files(self, revision="main"):
        return self.commits[self.find(revision)]


class HubServer:
    """Serves from a thread between `with` and its end.

    Attributes:
        repositories: By id.
        large: Contents of large files by SHA-256.
        requests: `METHOD /path` of every request so far.
        failures: Start of `METHOD /path` to `(status, message)` or `HANG_UP`.
    """

    def __init__(self):
        self.repositories = {}
        self.large = {}
        self.requests = []
        self.failures = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.hub = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    wbufsize = -1  # an answer in one piece: in two, the second waits for the client's delayed acknowledgement

    def log_message(self, *args):
        pass

    def do_POST(self):
        self._answer("POST")

    def do_PUT(self):
        self._answer("PUT")

    def do_GET(self):
        self._answer("GET")

    def do_HEAD(self):
        self._answer("HEAD")

    def _answer(self, method):
        hub = self.server.hub
        path = unquote(urlsplit(self.path).path)
        line = f"{method} {path}"
        hub.requests.append(line)
        failure = next((failure for start, failure in hub.failures.items() if line.startswith(start)), None)
        length = int(self.headers.get("Content-Length") or 0)
        if failure == HANG_UP:
            self.rfile.read(length // 2)
            self.close_connection = True
            return
        if length > _MAX_BODY:
            self.close_connection = True
            return self._send(413, {"error": "larger than this server takes"})
        body = self._chunks() if self.headers.get("Transfer-Encoding") == "chunked" else self.rfile.read(length)
        if failure is not None:
            return self._send(failure[0], {"error": failure[1]})
        parts = path.strip("/").split("/")
        if path.startswith("/lfs/"):  # a signed address: no token
            return self._large_file(method, parts[1], body)
        if method in ("POST", "PUT") and path != "/api/validate-yaml":
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self._send(401, {"error": "Invalid username or password."})
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return self._send(200, {"errors": [], "warnings": []})
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            repository = hub.repositories.get("/".join(parts[2:4]))
            if repository is not None:
                return self._of_repository(method, "/".join(parts[2:4]), repository, parts[4:], body)
        elif path.endswith(".git/info/lfs/objects/batch"):
            return self._batch(json.loads(body))
        elif len(parts) >= 5 and parts[2] == "resolve":
            repository = hub.repositories.get("/".join(parts[:2]))
            if repository is not None:
                return self._resolve(repository, parts[3], "/".join(parts[4:]))
        self._send(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})

    def _chunks(self):
        body = b""
        while (size := int(self.rfile.readline(), 16)) and len(body) + size <= _MAX_BODY:
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _create(self, wanted):
        repo_id = f"{wanted['organization'] or 'me'}/{wanted['name']}"
        repositories = self.server.hub.repositories
        exists = repo_id in repositories
        repositories.setdefault(repo_id, Repository(wanted.get("visibility") == "private"))
        answer = {"url": f"{self.server.hub.url}/{repo_id}"}
        self._send(
            409 if exists else 200, answer | ({"error": "You already created this model repo"} if exists else {})
        )

    def _of_repository(self, method, repo_id, repository, rest, body):
        if not rest or rest[0] == "revision":
            sha = repository.find(rest[1] if rest else "main")
            return self._no_revision() if sha is None else self._send(200, self._info(repo_id, repository, sha))
        what, name = rest[0], rest[1] if len(rest) > 1 else None
        if what == "refs":
            branches = [
                {"name": n, "ref": f"refs/heads/{n}", "targetCommit": s} for n, s in repository.branches.items()
            ]
            tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": s} for n, s in repository.tags.items()]
            return self._send(200, {"branches": branches, "tags": tags, "converts": []})
        if what == "branch":
            if name in repository.branches:
                return self._send(409, {"error": "Reference already exists"})
            repository.branches[name] = repository.branches["main"]
            return self._send(200, {})
        sha = repository.find(name)
        if sha is None:
            return self._no_revision()
        if what == "tag":
            tag = json.loads(body)["tag"]
            if tag in repository.tags:
                return self._send(409, {"error": f"Tag {tag} exists already"})
            repository.tags[tag] = sha
            return self._send(200, {})
        files = repository.commits[sha]
        if what == "tree":
            folder = "".join(f"{part}/" for part in rest[2:])
            listed = [_entry(path, data) for path, data in files.items() if path.startswith(folder)]
            return self._send(200, listed) if listed else self._no_entry()
        if what == "preupload":
            wanted = json.loads(body)["files"]
            modes = [_mode(file, files.get(file["path"])) for file in wanted]
            return self._send(200, {"files": modes})
        if what == "commit" and method == "POST":
            return self._commit(repo_id, repository, name, [json.loads(line) for line in body.splitlines()])
        self._send(404, {"error": "Not found"})

    def _info(self, repo_id, repository, sha):
        siblings = [{"rfilename": path} for path in repository.commits[sha]]
        return {"id": repo_id, "modelId": repo_id, "sha": sha, "private": repository.private, "siblings": siblings}

    def _batch(self, wanted):
        large, url = self.server.hub.large, self.server.hub.url
        objects = []
        for item in wanted["objects"]:
            links = {"upload": {"href": f"{url}/lfs/{item['oid']}"}, "verify": {"href": f"{url}/lfs/{item['oid']}"}}
            objects.append(item if item["oid"] in large else item | {"actions": links})
        self._send(200, {"transfer": "basic", "objects": objects})

    def _large_file(self, method, oid, body):
        large = self.server.hub.large
        if method == "PUT":
            if hashlib.sha256(body).hexdigest() != oid:
                return self._send(400, {"error": "content and hash differ"})
            large[oid] = body
        self._send(200 if oid in large else 404, {})

    def _commit(self, repo_id, repository, branch, lines):
        files = dict(repository.commits[repository.branches[branch]])
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.hub.large[value["oid"]]
            elif line["key"] == "header":
                repository.summaries.append(value["summary"])
        sha = hashlib.sha1(repr((repository.branches[branch], sorted(files.items()))).encode()).hexdigest()
        repository.commits[sha] = files
        repository.branches[branch] = sha
        self._send(200, {"commitUrl": f"{self.server.hub.url}/{repo_id}/commit/{sha}", "commitOid": sha})

    def _resolve(self, repository, revision, path):
        sha = repository.find(revision)
        if sha is None:
            return self._no_revision()
        data = repository.commits[sha].get(path)
        if data is None:
            return self._no_entry({"X-Repo-Commit": sha})
        self._send(200, data, {"X-Repo-Commit": sha, "ETag": f'"{_git_hash(data)}"'})

    def _no_revision(self):
        self._send(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})

    def _no_entry(self, headers=None):
        self._send(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"} | (headers or {}))

    def _send(self, status, content, headers=None):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if isinstance(content, dict) and "error" in content:
            self.send_header("X-Error-Message", content["error"])
        self.send_header("Content-Type", "application/octet-stream" if data is content else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _git_hash(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _entry(path, data):
    return {"type": "file", "path": path, "size": len(data), "oid": _git_hash(data)}


def _mode(file, present):
    is_large = file["path"].endswith((".safetensors", ".bin", ".pt", ".pth")) or file["size"] > 10 << 20
    oid = None if present is None else hashlib.sha256(present).hexdigest() if is_large else _git_hash(present)
    return {"path": file["path"], "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False, "oid": oid}
