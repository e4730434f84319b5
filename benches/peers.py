"""Other stores with the points of `zonepulse-bench peers`.

    peers.py ENGINE POINTS.csv FOLDER QUESTIONS.json

loads the points into an engine (victoria-metrics, duckdb, chdb) with its data in FOLDER,
asks the questions, and prints one JSON object: CPU seconds of loading, bytes on disk, and
for each question the answer and the times. It uses one core: the caller pins the process,
and each engine is configured for one thread.
"""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time
import urllib.parse
import urllib.request

ROUNDS = 7


def size_bytes(folder):
    return sum(path.stat().st_size for path in pathlib.Path(folder).rglob("*") if path.is_file())


def timed(ask, cpu_seconds):
    """The answer, the median wall clock time and the mean CPU time, in milliseconds, when warm."""
    answer = ask()
    walls, used = [], cpu_seconds()
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        ask()
        walls.append(time.perf_counter() - begun)
    return {
        "answer": answer,
        "wall_ms": 1000 * statistics.median(walls),
        "cpu_ms": 1000 * (cpu_seconds() - used) / ROUNDS,
    }


class InProcess:
    """The common part of DuckDB and chdb: a library in this process, queried in SQL."""

    def cpu_seconds(self):
        return time.process_time()

    def questions(self, q):
        requests = f"action = 'request' AND time >= {q['from_s']} AND time < {q['until_s']}"
        record = f"server_id = {q['server_id']} AND host = '{q['host']}' AND type = '{q['type']}'"
        return {
            "Q1": lambda: self.rows(f"SELECT time, hits FROM points WHERE {requests} AND {record} ORDER BY time"),
            "Q2": lambda: self.rows(
                f"SELECT host, type, sum(hits) AS all_hits FROM points WHERE {requests} "
                "GROUP BY host, type ORDER BY all_hits DESC, host, type LIMIT 100"
            ),
            "Q3": lambda: self.rows(
                f"SELECT host, type, max(last_access) AS last FROM points WHERE action = 'request' AND server_id = {q['server_id']} "
                f"GROUP BY host, type HAVING last < {q['silent_since_ms']} ORDER BY host, type"
            ),
        }

    def close(self):
        pass


class DuckDB(InProcess):
    fsync = "at the checkpoint that ends the load"

    def __init__(self, folder):
        import duckdb

        self.path = f"{folder}/points.duckdb"
        self.connection = duckdb.connect(self.path)
        self.connection.execute("SET threads = 1")
        self.version = f"DuckDB {duckdb.__version__}"

    def load(self, csv):
        self.connection.execute(
            f"""CREATE TABLE points AS SELECT * FROM read_csv('{csv}', header = true, columns = {{
                'time': 'UINTEGER', 'server_id': 'UINTEGER', 'host': 'VARCHAR', 'type': 'VARCHAR', 'action': 'VARCHAR',
                'hits': 'UBIGINT', 'last_access': 'UBIGINT'}})"""
        )
        self.connection.execute("CHECKPOINT")

    def size_bytes(self):
        return os.stat(self.path).st_size

    def rows(self, sql):
        return [list(row) for row in self.connection.execute(sql).fetchall()]


class ClickHouse(InProcess):
    fsync = "never asked for (the default of MergeTree)"

    def __init__(self, folder):
        from chdb import session
        import chdb

        self.folder = folder
        self.session = session.Session(folder)
        self.session.query("SET max_threads = 1")
        self.version = f"ClickHouse {chdb.engine_version if hasattr(chdb, 'engine_version') else ''} (chdb {chdb.__version__})"

    def load(self, csv):
        self.session.query("CREATE DATABASE IF NOT EXISTS bench ENGINE = Atomic")
        self.session.query(
            """CREATE TABLE bench.points (time UInt32 CODEC(Delta, ZSTD), server_id UInt32, host LowCardinality(String),
               type LowCardinality(String), action LowCardinality(String), hits UInt64 CODEC(T64, ZSTD),
               last_access UInt64 CODEC(Delta, ZSTD)) ENGINE = MergeTree ORDER BY (server_id, host, type, action, time)"""
        )
        self.session.query(
            f"INSERT INTO bench.points SELECT * FROM file('{csv}', CSVWithNames) SETTINGS max_threads = 1, max_insert_threads = 1"
        )
        self.session.query("OPTIMIZE TABLE bench.points FINAL")

    def size_bytes(self):
        found = self.session.query(
            "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'points'", "CSV"
        )
        return int(str(found).strip())

    def rows(self, sql):
        sql = sql.replace("FROM points", "FROM bench.points").replace(" AS last ", " AS last_one ").replace("HAVING last ", "HAVING last_one ")
        found = str(self.session.query(sql + " SETTINGS max_threads = 1, output_format_json_quote_64bit_integers = 0", "JSONCompactEachRow"))
        return [json.loads(line) for line in found.splitlines()]

    def close(self):
        self.session.close()


class VictoriaMetrics:
    fsync = "every 5 s (what came since is lost when the machine stops)"

    def __init__(self, folder):
        self.folder = folder
        self.port = int(os.environ.get("BENCH_PORT", "18428"))
        log = open(f"{folder}.log", "wb")
        self.process = subprocess.Popen(
            [
                "victoria-metrics",
                f"-storageDataPath={folder}",
                f"-httpListenAddr=127.0.0.1:{self.port}",
                "-retentionPeriod=100y",
                "-search.maxUniqueTimeseries=10000000",
                "-search.maxSamplesPerQuery=10000000000",
                "-search.maxQueryDuration=300s",
                "-search.disableCache",
            ],
            env={**os.environ, "GOMAXPROCS": "1"},
            stdout=log,
            stderr=log,
        )
        for _ in range(300):
            try:
                self.get("/health")
                break
            except OSError:
                time.sleep(0.1)
        # The version is unknown to Debian's build itself.
        said = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "victoria-metrics"], capture_output=True, text=True)
        self.version = f"VictoriaMetrics {said.stdout}"

    def get(self, path, **parameters):
        query = "?" + urllib.parse.urlencode(parameters) if parameters else ""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}{query}", timeout=600) as answer:
            return answer.read()

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def load(self, csv):
        columns = "1:time:unix_s,2:label:server_id,3:label:host,4:label:type,5:label:action,6:metric:hits,7:metric:last_access"
        path = "/api/v1/import/csv?" + urllib.parse.urlencode({"format": columns})
        with open(csv, "rb") as points:
            points.readline()
            # Whole lines, some megabytes at a time.
            while block := points.read(8 << 20):
                block += points.readline()
                request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=block, method="POST")
                urllib.request.urlopen(request, timeout=600).read()
        self.get("/internal/force_flush")
        # Merging continues in the background; it counts towards the time and the size.
        self.get("/internal/force_merge")
        before = -1.0
        while self.cpu_seconds() - before > 0.05:
            before = self.cpu_seconds()
            time.sleep(3)

    def size_bytes(self):
        return size_bytes(self.folder)

    def result(self, query, at_s):
        found = json.loads(self.get("/api/v1/query", query=query, time=at_s, nocache=1))
        return found["data"]["result"]

    def questions(self, q):
        # A window is (time - length, time].
        at_s, length_s = q["until_s"] - 1, q["until_s"] - q["from_s"]
        server = f'action="request",server_id="{q["server_id"]}"'

        def named(series, value):
            return [series["metric"]["host"], series["metric"]["type"], value]

        def one():
            query = f'hits{{{server},host="{q["host"]}",type="{q["type"]}"}}[{length_s}s]'
            found = self.result(query, at_s)
            return [[int(at), int(float(hits))] for series in found for at, hits in series["values"]]

        def most():
            query = f'topk(200, sum(sum_over_time(hits{{action="request"}}[{length_s}s])) by (host, type))'
            found = [named(series, int(float(series["value"][1]))) for series in self.result(query, at_s)]
            return sorted(found, key=lambda row: (-row[2], row[0], row[1]))[:100]

        def silent():
            query = f"max(max_over_time(last_access{{{server}}}[{length_s}s])) by (host, type) < {q['silent_since_ms']}"
            return sorted(named(series, int(float(series["value"][1]))) for series in self.result(query, at_s))

        return {"Q1": one, "Q2": most, "Q3": silent}

    def close(self):
        self.process.terminate()
        self.process.wait(60)


ENGINES = {"victoria-metrics": VictoriaMetrics, "duckdb": DuckDB, "chdb": ClickHouse}


def main():
    name, csv, folder, questions = sys.argv[1:]
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    engine = ENGINES[name](folder)
    try:
        used = engine.cpu_seconds()
        begun = time.perf_counter()
        engine.load(csv)
        report = {
            "version": engine.version,
            "fsync": engine.fsync,
            "load_cpu_s": engine.cpu_seconds() - used,
            "load_wall_s": time.perf_counter() - begun,
            "size_bytes": engine.size_bytes(),
        }
        asked = engine.questions(json.loads(pathlib.Path(questions).read_text()))
        report["questions"] = {name: timed(ask, engine.cpu_seconds) for name, ask in asked.items()}
    finally:
        engine.close()
    print(json.dumps(report))


main()
