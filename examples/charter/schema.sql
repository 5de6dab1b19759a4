-- One file per company. Times are local and naive (YYYY-MM-DDTHH:MM), money is whole cents.
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE IF NOT EXISTS bookings (
  id TEXT PRIMARY KEY, vessel TEXT NOT NULL, start TEXT NOT NULL, finish TEXT NOT NULL,
  source TEXT NOT NULL, ref TEXT, kind TEXT, party INTEGER NOT NULL, status TEXT NOT NULL,
  total INTEGER, gross INTEGER, paid INTEGER NOT NULL DEFAULT 0, claimed_paid INTEGER, paid_via TEXT,
  balance_due TEXT, hold_expires TEXT, captain TEXT, crew TEXT NOT NULL DEFAULT '[]', contact TEXT,
  adults INTEGER, minors TEXT NOT NULL DEFAULT '[]', cancelled_by TEXT, extra TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS bookings_by_ref ON bookings (source, ref);

CREATE TABLE IF NOT EXISTS notes (
  n INTEGER PRIMARY KEY AUTOINCREMENT, booking_id TEXT NOT NULL, text TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'live'
);

-- What a booking, or a hold without one, takes of a vessel's time.
CREATE TABLE IF NOT EXISTS entries (
  n INTEGER PRIMARY KEY AUTOINCREMENT, state TEXT NOT NULL CHECK (state IN ('hold', 'firm', 'released')),
  vessel TEXT NOT NULL, start TEXT NOT NULL, finish TEXT NOT NULL, booking_id TEXT, expires TEXT,
  party INTEGER, run_id TEXT NOT NULL DEFAULT '', sender TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS entries_by_vessel ON entries (vessel, state);

CREATE TABLE IF NOT EXISTS blocks (
  n INTEGER PRIMARY KEY AUTOINCREMENT, vessel TEXT NOT NULL, why TEXT NOT NULL, first TEXT, last TEXT,
  weekday INTEGER, opens TEXT, closes TEXT, state TEXT NOT NULL DEFAULT 'live', seeded INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS waitlist (
  n INTEGER PRIMARY KEY AUTOINCREMENT, vessel TEXT NOT NULL, start TEXT NOT NULL, finish TEXT NOT NULL,
  party INTEGER NOT NULL, behind TEXT, sender TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'waiting'
);

CREATE TABLE IF NOT EXISTS payments (
  n INTEGER PRIMARY KEY AUTOINCREMENT, booking_id TEXT NOT NULL, event_id TEXT UNIQUE, amount INTEGER NOT NULL,
  method TEXT NOT NULL, kind TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS refunds (
  n INTEGER PRIMARY KEY AUTOINCREMENT, booking_id TEXT NOT NULL, amount INTEGER NOT NULL, reason TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'withdrawn', 'executed')), approval_id TEXT
);
CREATE TABLE IF NOT EXISTS links (
  n INTEGER PRIMARY KEY AUTOINCREMENT, token TEXT NOT NULL, kind TEXT NOT NULL, booking_id TEXT, entry INTEGER,
  amount INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'open'
);

CREATE TABLE IF NOT EXISTS crew_events (n INTEGER PRIMARY KEY AUTOINCREMENT, booking_id TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS asks (
  n INTEGER PRIMARY KEY AUTOINCREMENT, purpose TEXT NOT NULL, booking_id TEXT NOT NULL, person TEXT NOT NULL,
  position TEXT NOT NULL, instead_of TEXT, start TEXT NOT NULL, finish TEXT NOT NULL, deadline TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('asked', 'accepted', 'declined', 'withdrawn'))
);

CREATE TABLE IF NOT EXISTS pages (
  booking_id TEXT PRIMARY KEY, token TEXT NOT NULL, start TEXT NOT NULL, finish TEXT NOT NULL,
  without TEXT NOT NULL DEFAULT '[]', state TEXT NOT NULL CHECK (state IN ('live', 'withdrawn'))
);
CREATE TABLE IF NOT EXISTS waivers (
  n INTEGER PRIMARY KEY AUTOINCREMENT, booking_id TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('adult', 'guardian')),
  token TEXT NOT NULL, guardian_known INTEGER NOT NULL, state TEXT NOT NULL CHECK (state IN ('open', 'signed', 'void'))
);
CREATE TABLE IF NOT EXISTS manifests (
  n INTEGER PRIMARY KEY AUTOINCREMENT, booking_id TEXT NOT NULL, start TEXT NOT NULL, complete INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'live'
);
CREATE TABLE IF NOT EXISTS checklists (booking_id TEXT PRIMARY KEY, lines TEXT NOT NULL);

CREATE TABLE IF NOT EXISTS items (
  n INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, kind TEXT NOT NULL, what TEXT NOT NULL, follows TEXT NOT NULL,
  booking_id TEXT, amount INTEGER, options TEXT NOT NULL, figures TEXT NOT NULL, show TEXT, deadline TEXT,
  state TEXT NOT NULL DEFAULT 'open'
);

-- once_key makes one message go out once, whichever run writes it.
CREATE TABLE IF NOT EXISTS outbox (
  n INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, once_key TEXT NOT NULL UNIQUE, run_id TEXT NOT NULL,
  subtask TEXT NOT NULL, reader TEXT NOT NULL, contact TEXT, persons TEXT NOT NULL, addresses TEXT NOT NULL,
  channel TEXT NOT NULL, language TEXT NOT NULL, template TEXT NOT NULL, body TEXT, fields TEXT NOT NULL,
  asks TEXT NOT NULL, expects TEXT NOT NULL, booking_id TEXT, link TEXT,
  state TEXT NOT NULL CHECK (state IN ('queued', 'sent', 'posted'))
);
CREATE INDEX IF NOT EXISTS outbox_by_key ON outbox (key);

-- Decisions of a signed-in operator, as the application that hosts the runs records them.
CREATE TABLE IF NOT EXISTS approvals (
  n INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, subtask TEXT NOT NULL, operator TEXT NOT NULL, at TEXT NOT NULL
);

-- Every call of every tool as it enters, repeated ones included. Wall-clock time, UTC.
CREATE TABLE IF NOT EXISTS calls (
  n INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, run_id TEXT NOT NULL, subtask TEXT NOT NULL,
  action TEXT NOT NULL, arguments TEXT NOT NULL, at TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS calls_stay BEFORE UPDATE ON calls BEGIN SELECT RAISE(ABORT, 'calls is append-only'); END;
CREATE TRIGGER IF NOT EXISTS calls_remain BEFORE DELETE ON calls BEGIN SELECT RAISE(ABORT, 'calls is append-only'); END;

-- What each writing call did, in the transaction that did it.
CREATE TABLE IF NOT EXISTS effects (
  n INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, run_id TEXT NOT NULL, subtask TEXT NOT NULL,
  action TEXT NOT NULL, outcome TEXT NOT NULL, undo TEXT, undone INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS effects_by_subtask ON effects (run_id, subtask, action);
