# SPDX-License-Identifier: Apache-2.0
"""A dataset of features in PostgreSQL with pgvector, and the photos nearest to another.

    pip install pomona psycopg[binary] pgvector
    python examples/vector_store.py load results/features --dsn postgresql://user@host/db
    python examples/vector_store.py find photo.jpg -n 5   --dsn postgresql://user@host/db

Any PostgreSQL from 13 on with pgvector does, a managed one as well. `load` streams row groups, so that its memory does
not grow with the dataset, and may run again: a photo that is there already gets its new row. Networks are told apart by
the fingerprint that is kept with the table; features of another network are refused. `find` uses the HNSW index, which
may miss a neighbour now and then; --exact compares with every row, as `pomona similar` does.
"""
import argparse
import json
import sys

import numpy as np
import psycopg
import pyarrow as pa
from pgvector.psycopg import register_vector
from psycopg import sql

import pomona


def connect(dsn):
    connection = psycopg.connect(dsn)
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    register_vector(connection)
    return connection


def load(connection, table, place):
    """Rows of a dataset -> the table, which is made where it is not there. Returns how many rows were read."""
    dataset = pomona.read_dataset(place)
    about = {"network": dataset.run["network"], "fingerprint": dataset.run["fingerprint"]}
    name = sql.Identifier(table)
    known = described(connection, table)
    if known and known["fingerprint"] != about["fingerprint"]:
        sys.exit(f"table {table} holds features of another network or precision: name another one with --table")
    columns = "path text PRIMARY KEY, label text, width int, height int, features vector({})"
    with connection.transaction():
        connection.execute(sql.SQL(f"CREATE TABLE IF NOT EXISTS {{}} ({columns})").format(name, dataset.dimension))
        connection.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(name, json.dumps(about)))
        connection.execute(sql.SQL("CREATE TEMP TABLE arriving (LIKE {}) ON COMMIT DROP").format(name))
        with connection.cursor().copy("COPY arriving FROM STDIN WITH (FORMAT binary)") as copy:
            copy.set_types(["text", "text", "int4", "int4", "vector"])
            for batch in pa.RecordBatchReader.from_stream(dataset):
                vectors = batch.column(dataset.vector_column).flatten().to_numpy().reshape(batch.num_rows, -1)
                texts = [column(batch, part) for part in ("path", "label", "width", "height")]
                for *row, vector in zip(*texts, vectors):
                    copy.write_row([*row, vector])
        connection.execute(sql.SQL(
            "INSERT INTO {} SELECT * FROM arriving ON CONFLICT (path) DO UPDATE SET label = EXCLUDED.label, "
            "width = EXCLUDED.width, height = EXCLUDED.height, features = EXCLUDED.features").format(name))
    connection.execute(sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} USING hnsw (features vector_cosine_ops)").format(
        sql.Identifier(f"{table}_nearest"), name))
    connection.commit()
    return len(dataset)


def column(batch, name):
    return batch.column(name).to_pylist() if name in batch.schema.names else [None] * batch.num_rows


def described(connection, table):
    """What the table says about its network; None where there is no such table."""
    row = connection.execute("SELECT obj_description(to_regclass(%s), 'pg_class')",
                             (sql.Identifier(table).as_string(connection),)).fetchone()
    return json.loads(row[0]) if row and row[0] else None


def find(connection, table, photos, n, exact):
    """For each photo the n nearest rows: (path, label, cosine), nearest first."""
    about = described(connection, table)
    if about is None:
        sys.exit(f"there is no table {table} with features: run load first")
    # The network the table was made with, at its precision: vectors of another one mean nothing here.
    featurizer = pomona.Featurizer(**{**about["network"], "precision": about["fingerprint"]["precision"]})
    if featurizer.fingerprint["identity_hash"] != about["fingerprint"]["identity_hash"]:
        sys.exit(f"the network {featurizer.name} of this machine is not the one the table was made with")
    query = sql.SQL("SELECT path, label, 1 - (features <=> %(x)s) FROM {} ORDER BY features <=> %(x)s LIMIT %(n)s").format(
        sql.Identifier(table))
    for vector in np.asarray(featurizer.featurize(photos)):
        with connection.transaction():
            if exact:
                connection.execute("SET LOCAL enable_indexscan = off")
            else:
                connection.execute(f"SET LOCAL hnsw.ef_search = {min(max(40, 2 * n), 1000)}")
            yield connection.execute(query, {"x": vector, "n": n}).fetchall()


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = words.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("load", help="put a dataset into the table")
    one.add_argument("dataset", help="features of `pomona run` or `pomona featurize`: a folder or URI")
    two = verbs.add_parser("find", help="the photos nearest to others")
    two.add_argument("photo", nargs="+")
    two.add_argument("-n", type=int, default=12)
    two.add_argument("--exact", action="store_true", help="compare with every row")
    for verb in (one, two):
        verb.add_argument("--dsn", required=True, help="postgresql://user@host/db; a password belongs in ~/.pgpass")
        verb.add_argument("--table", default="photos")
    options = words.parse_args()
    with connect(options.dsn) as connection:
        if options.verb == "load":
            print(json.dumps({"table": options.table, "rows": load(connection, options.table, options.dataset)}))
            return
        for photo, nearest in zip(options.photo, find(connection, options.table, options.photo, options.n, options.exact)):
            print(json.dumps({"photo": photo, "nearest": [
                {"path": path, "label": label, "similarity": cosine} for path, label, cosine in nearest]}))


if __name__ == "__main__":
    main()
