import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';

/**
 * current_labels holds each customer's label now; label_history holds what it was before. A trigger moves a replaced
 * label into the history within the very statement that replaces it, so that no way of writing can lose one.
 */
const labels: Migration = {
  async up(db: Kysely<unknown>) {
    await sql`CREATE SEQUENCE labelling_ids`.execute(db);
    await sql`
      CREATE TABLE contracts (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        fingerprint text NOT NULL UNIQUE,
        body jsonb NOT NULL
      )`.execute(db);
    await sql`
      CREATE TABLE label_history (
        id bigint PRIMARY KEY DEFAULT nextval('labelling_ids'),
        customer_id text COLLATE "C" NOT NULL,
        inputs double precision[] NOT NULL,
        scale text NOT NULL,
        contract_id integer NOT NULL,
        label text NOT NULL,
        model_name text NOT NULL,
        model_version text,
        source text NOT NULL,
        probability double precision,
        received_at timestamptz NOT NULL,
        labelled_at timestamptz NOT NULL,
        confirmed_at timestamptz NOT NULL
      )`.execute(db);
    await sql`CREATE INDEX label_history_by_customer ON label_history (customer_id, received_at DESC, id DESC)`.execute(
      db,
    );
    await sql`
      CREATE TABLE current_labels (
        LIKE label_history INCLUDING DEFAULTS,
        PRIMARY KEY (customer_id)
      ) WITH (fillfactor = 80)`.execute(db);
    await sql`CREATE INDEX current_labels_by_time ON current_labels (labelled_at, customer_id)`.execute(db);
    await sql`
      CREATE FUNCTION keep_replaced_label() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        INSERT INTO label_history VALUES (OLD.*);
        RETURN NULL;
      END $$`.execute(db);
    await sql`
      CREATE TRIGGER keep_replaced_label AFTER UPDATE ON current_labels
        FOR EACH ROW WHEN (OLD.id <> NEW.id) EXECUTE FUNCTION keep_replaced_label()`.execute(db);
  },
};

const apiKeys: Migration = {
  async up(db: Kysely<unknown>) {
    await sql`
      CREATE TABLE api_keys (
        id text PRIMARY KEY,
        name text NOT NULL,
        role text NOT NULL,
        digest bytea NOT NULL UNIQUE,
        created_at timestamptz NOT NULL,
        last_used_at timestamptz,
        revoked_at timestamptz
      )`.execute(db);
  },
};

const labelsByProbability: Migration = {
  async up(db: Kysely<unknown>) {
    await sql`CREATE INDEX current_labels_by_probability ON current_labels (probability, customer_id)`.execute(db);
  },
};

/**
 * A list is kept as chunks of its own bytes, compressed, so that any instance can take the next one. `attempt` names who
 * works on a chunk: only that one may say that it is done.
 */
const batches: Migration = {
  async up(db: Kysely<unknown>) {
    await sql`
      CREATE TABLE batches (
        id text PRIMARY KEY,
        state text NOT NULL,
        reason text,
        idempotency_key text UNIQUE,
        content_hash bytea,
        plan jsonb,
        report jsonb,
        row_count integer NOT NULL DEFAULT 0,
        duplicate_count integer,
        created_at timestamptz NOT NULL,
        touched_at timestamptz NOT NULL,
        started_at timestamptz,
        finished_at timestamptz
      )`.execute(db);
    await sql`CREATE INDEX batches_by_time ON batches (created_at, id)`.execute(db);
    await sql`
      CREATE TABLE batch_chunks (
        batch_id text NOT NULL REFERENCES batches ON DELETE CASCADE,
        number integer NOT NULL,
        first_line integer NOT NULL,
        first_row integer NOT NULL,
        line_count integer NOT NULL,
        row_count integer NOT NULL,
        body bytea NOT NULL,
        attempt text,
        done_at timestamptz,
        is_given_up boolean NOT NULL DEFAULT false,
        labelled integer NOT NULL DEFAULT 0,
        rejected integer NOT NULL DEFAULT 0,
        versions jsonb,
        errors jsonb,
        result bytea,
        customer_hashes bytea,
        PRIMARY KEY (batch_id, number)
      )`.execute(db);
    // They are compressed already
    await sql`ALTER TABLE batch_chunks ALTER body SET STORAGE EXTERNAL, ALTER result SET STORAGE EXTERNAL,
      ALTER customer_hashes SET STORAGE EXTERNAL`.execute(db);
  },
};

/** What became of a list's rows, once it has ended: its chunks need not be added up at each look. */
const batchTotals: Migration = {
  async up(db: Kysely<unknown>) {
    await sql`ALTER TABLE batches ADD totals jsonb`.execute(db);
    await sql`CREATE INDEX batches_by_state ON batches (state)`.execute(db);
  },
};

/** Every migration by name, in order; none is edited once released. */
export const migrations: Record<string, Migration> = {
  '0001_labels': labels,
  '0002_api_keys': apiKeys,
  '0003_labels_by_probability': labelsByProbability,
  '0004_batches': batches,
  '0005_batch_totals': batchTotals,
};
