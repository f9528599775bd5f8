-- As many accounts as :accounts says, and half as many live sessions, written straight into the database. Some addresses
-- have a prefix that few others have, and roles, states and prefixes are distributed unevenly over time, as
-- imports and campaigns leave them.
INSERT INTO users (id, name, email, password_hash, role, last_activity_at, created_at, updated_at, disabled_at, email_verified_at)
SELECT gen_random_uuid(), 'Person ' || n,
    CASE WHEN n > :accounts * 95 / 100 THEN 'legacy' ELSE
        (ARRAY['ada','ben','carla','dan','eva','finn','greta','hugo','ida','jan','karl','lea','mia','noah','olga','paul','rosa','sam',
            'tina','uwe'])[1 + (n * 7919 % 20)::int] END
        || '.' || substr(md5(n::text), 1, 8) || n || '@example.com',
    '', CASE WHEN n % 50000 = 0 THEN 'ADMIN' WHEN n % 100 = 0 THEN 'ENTERPRISE' WHEN n % 10 = 0 THEN 'PRO' ELSE 'STARTER' END,
    now_ms - n * 1000, now_ms - n * 60000, now_ms - n * 1000,
    CASE WHEN n % 1000 = 1 THEN now_ms END, CASE WHEN n % 5 <> 0 THEN now_ms END
FROM generate_series(1::bigint, :accounts) AS n, (SELECT (extract(epoch FROM now()) * 1000)::bigint AS now_ms) AS clock;
INSERT INTO sessions (user_id, id, token, refresh_generation, refreshed_at, tokens_expire_at, browser, os, device_type, user_agent,
    ip_address, created_at, last_activity, expires_at, ended_at, end_reason, auth_time, amr, idle_timeout_ms, refresh_in_body,
    refresh_floor, ends_at)
SELECT id, gen_random_uuid(), gen_random_uuid(), 1, now_ms, now_ms + 900000, 'Firefox', 'Linux', 'desktop',
    'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', '203.0.113.7', now_ms - 3600000,
    now_ms - (random() * 3600000)::bigint, now_ms + 604800000, CASE WHEN is_over THEN now_ms - (random() * 86400000)::bigint END,
    CASE WHEN is_over THEN 'logout' END, now_ms - 3600000, 1, 86400000, FALSE, 0, now_ms + 82800000
FROM (SELECT id, row_number() OVER () % 2 = 0 AS is_over FROM users) AS people,
    (SELECT (extract(epoch FROM now()) * 1000)::bigint AS now_ms) AS clock;
ANALYZE users;
ANALYZE sessions;
