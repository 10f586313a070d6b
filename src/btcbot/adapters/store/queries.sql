-- Every statement of the order path and of the readers, in the common subset of SQLite and PostgreSQL.
--
-- A statement begins at a line `-- name --`, goes on with an English sentence, and ends before the next name. Parameters
-- are `:named`. Columns stand in the order in which rows.py reads them. `sequence` is given out here, inside the one
-- write transaction that there can be at a time, so it has no gaps: the newest number is also the count.

-- identity --
-- What this database is for; no row in a database that has just been made.
SELECT book_id, mode, venue_host, key_fingerprint, created_at_ms FROM identity WHERE row = 1

-- put_identity --
-- Say what this database is for.
INSERT INTO identity (row, book_id, mode, venue_host, key_fingerprint, created_at_ms)
VALUES (1, :book_id, :mode, :venue_host, :key_fingerprint, :created_at_ms)
ON CONFLICT (row) DO UPDATE SET
  book_id = excluded.book_id, mode = excluded.mode, venue_host = excluded.venue_host,
  key_fingerprint = excluded.key_fingerprint, created_at_ms = excluded.created_at_ms

-- insert_order --
-- A new order; an id that exists is an error.
INSERT INTO orders (
  sequence, client_order_id, intent_id, cycle_id, strategy, symbol, side, price, quantity, status, created_at_ms,
  updated_at_ms, filled_quantity, venue_order_id, stamp_ms, reason, cancel_requested_at_ms, absent_count, absent_since_ms
) VALUES (
  (SELECT coalesce(max(sequence), 0) + 1 FROM orders), :client_order_id, :intent_id, :cycle_id, :strategy, :symbol,
  :side, :price, :quantity, :status, :created_at_ms, :updated_at_ms, :filled_quantity, :venue_order_id, :stamp_ms,
  :reason, :cancel_requested_at_ms, :absent_count, :absent_since_ms
)

-- update_order --
-- The part of an order that may change: its status, what was filled, and what is known of it at the venue.
UPDATE orders SET
  status = :status, updated_at_ms = :updated_at_ms, filled_quantity = :filled_quantity,
  venue_order_id = :venue_order_id, stamp_ms = :stamp_ms, reason = :reason,
  cancel_requested_at_ms = :cancel_requested_at_ms, absent_count = :absent_count, absent_since_ms = :absent_since_ms
WHERE client_order_id = :client_order_id

-- order --
-- One order by our id.
SELECT client_order_id, intent_id, cycle_id, strategy, symbol, side, price, quantity, status, created_at_ms,
  updated_at_ms, filled_quantity, venue_order_id, stamp_ms, reason, cancel_requested_at_ms, absent_count, absent_since_ms
FROM orders WHERE client_order_id = :client_order_id

-- order_by_venue_id --
-- One order by the venue's id.
SELECT client_order_id, intent_id, cycle_id, strategy, symbol, side, price, quantity, status, created_at_ms,
  updated_at_ms, filled_quantity, venue_order_id, stamp_ms, reason, cancel_requested_at_ms, absent_count, absent_since_ms
FROM orders WHERE venue_order_id = :venue_order_id ORDER BY sequence DESC LIMIT 1

-- orders --
-- Orders in any of the statuses (twelve places, unused ones NULL), changed at or after a time, oldest first.
SELECT client_order_id, intent_id, cycle_id, strategy, symbol, side, price, quantity, status, created_at_ms,
  updated_at_ms, filled_quantity, venue_order_id, stamp_ms, reason, cancel_requested_at_ms, absent_count, absent_since_ms
FROM orders
WHERE status IN (:s0, :s1, :s2, :s3, :s4, :s5, :s6, :s7, :s8, :s9, :s10, :s11) AND updated_at_ms >= :since_ms
ORDER BY sequence

-- recent_orders --
-- The newest orders, newest first.
SELECT client_order_id, intent_id, cycle_id, strategy, symbol, side, price, quantity, status, created_at_ms,
  updated_at_ms, filled_quantity, venue_order_id, stamp_ms, reason, cancel_requested_at_ms, absent_count, absent_since_ms
FROM orders ORDER BY sequence DESC LIMIT :limit

-- order_count --
-- How many orders there are.
SELECT coalesce(max(sequence), 0) FROM orders

-- last_order_times --
-- Creation time of the newest order that was not denied, for each symbol and side. It steps from symbol to symbol through
-- the index, so that it costs as many look-ups as there are symbols and not a walk over all orders ever made.
WITH RECURSIVE traded (symbol) AS (
  SELECT min(symbol) FROM orders WHERE status <> 'DENIED'
  UNION ALL
  SELECT (SELECT min(later.symbol) FROM orders AS later WHERE later.status <> 'DENIED' AND later.symbol > traded.symbol)
  FROM traded WHERE traded.symbol IS NOT NULL
)
SELECT traded.symbol, sides.side, (
  SELECT max(newest.created_at_ms) FROM orders AS newest
  WHERE newest.status <> 'DENIED' AND newest.symbol = traded.symbol AND newest.side = sides.side
)
FROM traded CROSS JOIN (SELECT 'buy' AS side UNION ALL SELECT 'sell') AS sides
WHERE traded.symbol IS NOT NULL

-- put_hold --
-- Set aside funds for an order.
INSERT INTO holds (client_order_id, asset, amount) VALUES (:client_order_id, :asset, :amount)
ON CONFLICT (client_order_id) DO UPDATE SET asset = excluded.asset, amount = excluded.amount

-- release_hold --
-- Give the funds of an order back.
DELETE FROM holds WHERE client_order_id = :client_order_id

-- holds --
-- All funds that are set aside.
SELECT client_order_id, asset, amount FROM holds ORDER BY client_order_id

-- insert_fill --
-- A fill, unless its trade id is booked already.
INSERT INTO fills (sequence, trade_id, client_order_id, symbol, side, price, quantity, fee, tax, at_ms) VALUES (
  (SELECT coalesce(max(sequence), 0) + 1 FROM fills), :trade_id, :client_order_id, :symbol, :side, :price, :quantity,
  :fee, :tax, :at_ms
) ON CONFLICT (trade_id) DO NOTHING

-- has_fill --
-- Whether a trade id is booked.
SELECT 1 FROM fills WHERE trade_id = :trade_id

-- fills --
-- Fills at or after a time, newest first by venue time (then by booking), as many as asked.
SELECT trade_id, client_order_id, symbol, side, price, quantity, fee, tax, at_ms
FROM fills WHERE at_ms >= :since_ms ORDER BY at_ms DESC, sequence DESC LIMIT :limit

-- fills_of --
-- Fills of one order, oldest first.
SELECT trade_id, client_order_id, symbol, side, price, quantity, fee, tax, at_ms
FROM fills WHERE client_order_id = :client_order_id ORDER BY at_ms, sequence

-- fill_count --
-- How many fills there are.
SELECT coalesce(max(sequence), 0) FROM fills

-- fills_after --
-- Fills in the order of booking, from a number on.
SELECT trade_id, client_order_id, symbol, side, price, quantity, fee, tax, at_ms
FROM fills WHERE sequence > :count ORDER BY sequence

-- insert_entry --
-- A movement of money, unless its id is booked already.
INSERT INTO entries (sequence, entry_id, kind, at_ms, memo) VALUES (
  (SELECT coalesce(max(sequence), 0) + 1 FROM entries), :entry_id, :kind, :at_ms, :memo
) ON CONFLICT (entry_id) DO NOTHING

-- insert_posting --
-- One line of an entry.
INSERT INTO postings (entry_id, line, account, asset, amount) VALUES (:entry_id, :line, :account, :asset, :amount)

-- has_entry --
-- Whether an entry id is booked.
SELECT 1 FROM entries WHERE entry_id = :entry_id

-- entry --
-- One entry, a row for each posting.
SELECT entries.entry_id, entries.kind, entries.at_ms, entries.memo, postings.account, postings.asset, postings.amount
FROM entries JOIN postings ON postings.entry_id = entries.entry_id
WHERE entries.entry_id = :entry_id ORDER BY postings.line

-- entries --
-- The newest entries, as many as asked, told oldest first; a row for each posting.
SELECT newest.entry_id, newest.kind, newest.at_ms, newest.memo, postings.account, postings.asset, postings.amount
FROM (SELECT sequence, entry_id, kind, at_ms, memo FROM entries ORDER BY sequence DESC LIMIT :limit) AS newest
JOIN postings ON postings.entry_id = newest.entry_id
ORDER BY newest.sequence, postings.line

-- entry_count --
-- How many entries there are.
SELECT coalesce(max(sequence), 0) FROM entries

-- balances_of_asset --
-- The kept sums of one asset, an account each.
SELECT account, balance FROM account_balances WHERE asset = :asset

-- put_balance --
-- Set the kept sum of an account and asset. The sum itself is computed outside: SQL of SQLite knows no exact decimals.
INSERT INTO account_balances (asset, account, balance) VALUES (:asset, :account, :balance)
ON CONFLICT (asset, account) DO UPDATE SET balance = excluded.balance

-- balances_of_account --
-- The kept sums of one account, an asset each.
SELECT asset, balance FROM account_balances WHERE account = :account ORDER BY asset

-- put_position --
-- Set the position of a symbol.
INSERT INTO positions (symbol, quantity, cost, realized_pnl, fees_paid, taxes_paid)
VALUES (:symbol, :quantity, :cost, :realized_pnl, :fees_paid, :taxes_paid)
ON CONFLICT (symbol) DO UPDATE SET
  quantity = excluded.quantity, cost = excluded.cost, realized_pnl = excluded.realized_pnl,
  fees_paid = excluded.fees_paid, taxes_paid = excluded.taxes_paid

-- positions --
-- All positions, flat ones too: they keep what was earned.
SELECT symbol, quantity, cost, realized_pnl, fees_paid, taxes_paid FROM positions ORDER BY symbol

-- insert_verdict --
-- What was said to an intent.
INSERT INTO verdicts (sequence, cycle_id, intent_id, symbol, side, price, quantity, allowed, code, detail, at_ms) VALUES (
  (SELECT coalesce(max(sequence), 0) + 1 FROM verdicts), :cycle_id, :intent_id, :symbol, :side, :price, :quantity,
  :allowed, :code, :detail, :at_ms
)

-- verdicts --
-- The verdicts of one cycle, in the order in which they were given.
SELECT cycle_id, intent_id, symbol, side, price, quantity, allowed, code, detail, at_ms
FROM verdicts WHERE cycle_id = :cycle_id ORDER BY sequence

-- insert_cycle --
-- The report of one cycle.
INSERT INTO cycles (
  sequence, cycle_id, number, mode, profile, outcome, reasons, started_at_ms, ended_at_ms, counts, gates, quotes,
  equity_try, realized_pnl_try, unrealized_pnl_try
) VALUES (
  (SELECT coalesce(max(sequence), 0) + 1 FROM cycles), :cycle_id, :number, :mode, :profile, :outcome, :reasons,
  :started_at_ms, :ended_at_ms, :counts, :gates, :quotes, :equity_try, :realized_pnl_try, :unrealized_pnl_try
)

-- forget_verdicts --
-- Verdicts of cycles older than the first one to keep; cycle ids sort like their numbers.
DELETE FROM verdicts WHERE cycle_id < :first_kept

-- forget_cycles --
-- Reports of cycles older than the first one to keep.
DELETE FROM cycles WHERE cycle_id < :first_kept

-- forget_notes --
-- Notes of those cycles; not those of an operator's act, which belong to none, and not the kinds that are kept for good.
DELETE FROM notes
WHERE cycle_id > '' AND cycle_id < :first_kept AND kind NOT IN ('capital', 'parameters')

-- insert_note --
-- A line of a history. Notes may be forgotten anywhere, so their numbers have gaps.
INSERT INTO notes (sequence, kind, cycle_id, at_ms, body) VALUES (
  (SELECT coalesce(max(sequence), 0) + 1 FROM notes), :kind, :cycle_id, :at_ms, :body
)

-- notes --
-- Notes of a kind made at or after a time, newest first, as many as asked.
SELECT kind, cycle_id, at_ms, body FROM notes
WHERE kind = :kind AND at_ms >= :since_ms ORDER BY sequence DESC LIMIT :limit

-- note_count --
-- How many notes of a kind there are.
SELECT count(*) FROM notes WHERE kind = :kind

-- cycles --
-- The newest cycles, newest first.
SELECT cycle_id, number, mode, profile, outcome, reasons, started_at_ms, ended_at_ms, counts, gates, quotes,
  equity_try, realized_pnl_try, unrealized_pnl_try
FROM cycles ORDER BY sequence DESC LIMIT :limit

-- cycles_before --
-- The newest cycles before one of them, newest first.
SELECT cycle_id, number, mode, profile, outcome, reasons, started_at_ms, ended_at_ms, counts, gates, quotes,
  equity_try, realized_pnl_try, unrealized_pnl_try
FROM cycles WHERE sequence < (SELECT sequence FROM cycles WHERE cycle_id = :before) ORDER BY sequence DESC LIMIT :limit

-- cycle --
-- One cycle.
SELECT cycle_id, number, mode, profile, outcome, reasons, started_at_ms, ended_at_ms, counts, gates, quotes,
  equity_try, realized_pnl_try, unrealized_pnl_try
FROM cycles WHERE cycle_id = :cycle_id

-- cycle_count --
-- How many cycles there have been, those forgotten since included.
SELECT coalesce(max(sequence), 0) FROM cycles

-- forget_discrepancies --
-- Empty the list of unexplained differences before it is written anew.
DELETE FROM discrepancies

-- insert_discrepancy --
-- A difference between books and venue that nobody has explained yet.
INSERT INTO discrepancies (asset, amount, first_seen_ms, seen_count)
VALUES (:asset, :amount, :first_seen_ms, :seen_count)

-- discrepancies --
-- All unexplained differences.
SELECT asset, amount, first_seen_ms, seen_count FROM discrepancies ORDER BY asset

-- put_value --
-- Set a named control or mark.
INSERT INTO named_values (name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- value --
-- A named control or mark.
SELECT value FROM named_values WHERE name = :name

-- values --
-- The named values whose name begins so.
SELECT name, value FROM named_values
WHERE name >= :prefix AND substr(name, 1, length(:prefix)) = :prefix ORDER BY name

-- all_postings --
-- Every line of every entry, for proving the books: a row for each posting, and one with NULLs for an entry without any.
SELECT entries.entry_id, postings.account, postings.asset, postings.amount
FROM entries LEFT JOIN postings ON postings.entry_id = entries.entry_id
ORDER BY entries.sequence, postings.line

-- all_balances --
-- Every kept sum, for proving the books.
SELECT asset, account, balance FROM account_balances

-- filled_by_order --
-- What each order says was filled, beside the fills themselves, for proving the books.
SELECT orders.client_order_id, orders.filled_quantity, fills.quantity
FROM orders LEFT JOIN fills ON fills.client_order_id = orders.client_order_id
ORDER BY orders.sequence

-- statuses_of_holds --
-- Each hold with the status of its order, for proving that funds are set aside for open orders only.
SELECT holds.client_order_id, holds.amount, orders.status
FROM holds LEFT JOIN orders ON orders.client_order_id = holds.client_order_id

-- statuses_of_orders --
-- What became of each order, for proving that those in doubt have their hold.
SELECT client_order_id, status FROM orders ORDER BY sequence

-- shared_venue_ids --
-- Venue order ids that more than one of our orders claims.
SELECT venue_order_id FROM orders WHERE venue_order_id IS NOT NULL GROUP BY venue_order_id HAVING count(*) > 1

-- gaps --
-- Tables whose numbering has a gap: a row was taken out by another hand. Old cycles and verdicts are forgotten from the
-- front, so those two are counted from the oldest that is left.
SELECT 'orders' WHERE (SELECT count(*) FROM orders) <> (SELECT coalesce(max(sequence), 0) FROM orders)
UNION ALL SELECT 'fills' WHERE (SELECT count(*) FROM fills) <> (SELECT coalesce(max(sequence), 0) FROM fills)
UNION ALL SELECT 'entries' WHERE (SELECT count(*) FROM entries) <> (SELECT coalesce(max(sequence), 0) FROM entries)
UNION ALL SELECT 'verdicts' WHERE (SELECT count(*) FROM verdicts)
  <> (SELECT coalesce(max(sequence) - min(sequence) + 1, 0) FROM verdicts)
UNION ALL SELECT 'cycles' WHERE (SELECT count(*) FROM cycles)
  <> (SELECT coalesce(max(sequence) - min(sequence) + 1, 0) FROM cycles)
