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

/** Every migration by name, in order; none is edited once released. */
export const migrations: Record<string, Migration> = { '0001_labels': labels, '0002_api_keys': apiKeys };
