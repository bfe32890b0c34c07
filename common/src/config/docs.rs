//! What `sluice default-config` says about each key. A test holds that every key has a line here and every line a key.

/// `(key, comment)` in the order of the sections.
pub const DOCS: &[(&str, &str)] = &[
    (
        "server.listen",
        "Address and port for people. Port 0 takes a free one; the address really bound is printed.",
    ),
    (
        "server.public_url",
        "How people reach this site, such as \"https://video.example\"; empty: links are made without a host.",
    ),
    (
        "server.data_dir",
        "Where the embedded way keeps databases, media and secrets.",
    ),
    (
        "server.socket_dir",
        "Folder of Unix sockets that the processes of one machine share. A service listens there too, and an edge that has the same folder gets what it passes on from there, which costs less than TCP. Whoever may write to a socket is believed like trusted_proxies. Empty: none.",
    ),
    (
        "server.trusted_proxies",
        "Address blocks (CIDR) whose X-Forwarded-For is believed, from the right. Their connections get four times stall_timeout.",
    ),
    ("server.workers", "Threads that serve requests; 0 is one per core."),
    (
        "server.max_connections",
        "Open connections per worker; more wait in the kernel's queue.",
    ),
    (
        "server.head_timeout",
        "Longest time for a request head to arrive, counted from its first byte.",
    ),
    ("server.keep_alive", "How long an idle connection is kept."),
    (
        "server.stall_timeout",
        "A client that takes or sends no byte for this long is closed.",
    ),
    (
        "server.drain_delay",
        "After SIGTERM a copy is not ready but takes requests for this long, until balancers have moved on: \"3s\" where there are several.",
    ),
    (
        "server.drain_timeout",
        "Longest time running requests get after SIGTERM and drain_delay.",
    ),
    (
        "server.capture_uploads",
        "Take the bytes of large uploads from the connection, past the HTTP framework, which costs less CPU (at the edge the kernel passes them on); without it a connection that has gone to the framework stays there (see fast_path).",
    ),
    (
        "server.zero_copy",
        "Let the kernel send media from the file to the connection, and at the edge from connection to connection; switch it off on a file system that can't",
    ),
    (
        "server.fast_path",
        "Answer plain requests to read (media; at the edge documents too) before the HTTP framework sees them, which costs less CPU; needs zero_copy.",
    ),
    (
        "log.level",
        "error, warn, info, debug or trace; also per module: \"info,api_service=debug\".",
    ),
    ("log.format", "text for people, json for machines."),
    (
        "database.api",
        "sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME?schema=api; empty: sqlite in data_dir.",
    ),
    ("database.stream", "As database.api, for the ledger."),
    ("database.scheduler", "As database.api, for the jobs."),
    (
        "database.readers",
        "Reading connections of each SQLite database (there is one writer).",
    ),
    ("database.connections", "Connections to each PostgreSQL database."),
    (
        "database.wait",
        "Longest wait for a connection; after it the answer is 503.",
    ),
    (
        "store.url",
        "Where media lies: file:PATH, or s3://BUCKET/PREFIX (the prefix may be left out); empty: data_dir/media.",
    ),
    (
        "store.endpoint",
        "Address of the S3 store, \"http://host:3900\" or \"https://host\"; empty: Amazon's, of the region.",
    ),
    (
        "store.region",
        "Region of the bucket, as the store calls it (Garage: \"garage\").",
    ),
    ("store.access_key", "Name of the key that may use the bucket."),
    (
        "store.secret_key",
        "The key itself; best given as SLUICE_STORE__SECRET_KEY_FILE.",
    ),
    (
        "store.path_style",
        "Whether the bucket stands in the path of the address, as most stores have it; else it is part of the host name.",
    ),
    (
        "store.ca_file",
        "PEM file of certificate authorities to be trusted beside the system's, for an https endpoint.",
    ),
    (
        "bus.url",
        "local: (in this process) or nats://HOST:4222, several servers as nats://HOST:4222,HOST:4222; empty: local:",
    ),
    (
        "bus.prefix",
        "What the broker's subjects begin with; several installations on one broker need different ones.",
    ),
    ("bus.token", "What the broker wants to see, if it wants a token."),
    ("bus.user", "Name and password at the broker, if it wants them."),
    ("bus.password", "Best given as SLUICE_BUS__PASSWORD_FILE."),
    (
        "internal.listen",
        "Address of the calls between services; never reachable from outside. Port 0 takes a free one.",
    ),
    (
        "internal.api",
        "Internal addresses of api-service as in proxy.api; set by itself in the embedded way.",
    ),
    ("internal.stream", "Internal addresses of stream-service."),
    ("internal.scheduler", "Internal addresses of scheduler-service."),
    ("internal.timeout", "Deadline of one call between services."),
    (
        "secrets.internal_token",
        "What services show each other; made at the first start of the embedded way.",
    ),
    (
        "secrets.grant_keys",
        "Keys of upload and playback grants, \"id:base64url\"; the first signs, all verify.",
    ),
    (
        "secrets.admin_username",
        "Name of the operator account made at the first start when admin_password is given.",
    ),
    (
        "secrets.admin_password",
        "Password of that account; best given as SLUICE_ADMIN_PASSWORD_FILE.",
    ),
    ("api.session_ttl", "A session ends when it was not used for this long."),
    (
        "api.session_max_ttl",
        "A session ends this long after sign-in, used or not.",
    ),
    (
        "api.max_sessions_cached",
        "Sessions kept in memory, about 300 bytes each; others cost a database read.",
    ),
    ("api.trash_retention", "How long a deleted video can be restored."),
    ("api.upload_grant_ttl", "How long an upload may take to begin."),
    ("api.playback_grant_ttl", "How long a playback link works."),
    (
        "api.sign_in_attempts",
        "Failed sign-ins per account, client address and window; from all addresses ten times as many.",
    ),
    (
        "api.sign_in_attempts_per_address",
        "Failed sign-ins per client address and window.",
    ),
    (
        "api.registrations_per_address",
        "Accounts registered per client address and window.",
    ),
    ("api.sign_in_window", "The window of these three."),
    (
        "api.posts_per_second",
        "Comments and danmaku that a user may write, together; counted by each process.",
    ),
    ("api.post_burst", "How many of them at once, after a pause."),
    (
        "api.max_danmaku_per_video",
        "A video takes no more danmaku beyond this many; those that are deleted make room.",
    ),
    (
        "api.password_hashers",
        "Passwords hashed at once; each takes 19 MiB and a core.",
    ),
    (
        "api.password_queue",
        "Sign-ins that may wait for a hasher; more are answered 503. Registrations get a quarter of it.",
    ),
    ("stream.max_upload", "Largest video."),
    (
        "stream.min_free",
        "Uploads are refused when the store's file system has less room left: deletions need some.",
    ),
    ("stream.rate", "Requests per second and client."),
    ("stream.burst", "Requests a client may send at once after a pause."),
    (
        "stream.max_clients",
        "Clients whose rate is remembered, about 100 bytes each.",
    ),
    ("stream.max_streams", "Videos sent at once by this process."),
    ("stream.max_streams_per_client", "Videos sent at once to one client."),
    ("stream.max_uploads", "Uploads taken at once by this process."),
    ("stream.max_uploads_per_user", "Uploads taken at once from one user."),
    (
        "stream.pace",
        "Bytes per second of one stream, 16 KiB and more; 0 is as fast as it goes.",
    ),
    (
        "stream.egress_per_user_day",
        "Bytes of media sent to one user in a day of UTC, by all copies of the service together; 0 is no budget.",
    ),
    (
        "stream.egress_per_address_day",
        "The same for viewers without an account, together for an IPv4 address or an IPv6 /64; 0 is no budget.",
    ),
    (
        "stream.stall_timeout",
        "An upload that brings no byte for this long is cut.",
    ),
    (
        "stream.upload_expiry",
        "A resumable upload that is not finished is removed this long after its last byte or request.",
    ),
    (
        "stream.orphan_grace",
        "The reconciler leaves files and rows younger than this alone.",
    ),
    (
        "stream.scrub_after",
        "A stored file that was not checked for this long is read again and compared with its hash.",
    ),
    (
        "stream.scrub_rate",
        "Bytes that this reads in a second, 1 MiB and more; 0 is never.",
    ),
    (
        "scheduler.workers",
        "Jobs run at once by this process; they mostly wait for other services.",
    ),
    (
        "scheduler.lease",
        "A worker that shows no life for this long is replaced.",
    ),
    ("scheduler.attempts", "Attempts before a job is dead."),
    (
        "scheduler.poll",
        "Longest time until due work is found without being told.",
    ),
    (
        "scheduler.expire_sessions_every",
        "Interval of the job that removes ended sessions.",
    ),
    (
        "scheduler.expire_uploads_every",
        "Interval of the job that removes unfinished uploads.",
    ),
    (
        "scheduler.reconcile_every",
        "Interval of the job that compares rows, ledger and disk.",
    ),
    (
        "scheduler.scrub_every",
        "Interval of the job that reads stored files again.",
    ),
    (
        "scheduler.orphan_grace",
        "The reconciler leaves rows younger than this alone.",
    ),
    ("scheduler.keep_finished", "How long finished jobs are shown."),
    (
        "proxy.api",
        "Public addresses of api-service behind the edge, \"http://host:port\" (scaled); a name is as many copies as it has addresses.",
    ),
    ("proxy.stream", "Public addresses of stream-service."),
    ("proxy.scheduler", "Public addresses of scheduler-service."),
    (
        "proxy.connect_timeout",
        "Longest time to connect to a copy of a service; after it another one is tried.",
    ),
    (
        "proxy.response_timeout",
        "Longest time until a service begins its answer, and between two pieces of it.",
    ),
    ("gateway.workers", "Threads that serve sockets; 0 is one per core."),
    (
        "gateway.max_connections",
        "Open sockets of this process; one more is refused with 503.",
    ),
    (
        "gateway.max_connections_per_platform",
        "Open sockets of one user on one platform; one more is refused with 429.",
    ),
    (
        "gateway.origins",
        "Other sites whose pages may connect, \"https://host\"; this site's own may always. \"*\" is any.",
    ),
    (
        "gateway.query_token",
        "Whether the session token may stand in the address (?token=), as OpenIM clients write it.",
    ),
    (
        "gateway.call_timeout",
        "Longest time a function may take; after it the caller gets 504's number.",
    ),
    ("gateway.heartbeat", "Time between pings, give or take a fifth."),
    ("gateway.dead_after", "A socket without a byte for this long is closed."),
];

/// What stands above a section.
pub const SECTIONS: &[(&str, &str)] = &[
    ("server", "The listener for people."),
    ("log", "Log lines go to standard error."),
    ("database", "Each service owns its tables."),
    ("store", "The media: a folder, or a bucket of an S3 store."),
    ("bus", "Wakes and informs; the databases are the record."),
    ("internal", "Calls between the services."),
    (
        "secrets",
        "Never printed. Each, as any key, may be given as a file: SLUICE_SECRETS__INTERNAL_TOKEN_FILE=/run/secrets/token.",
    ),
    ("api", "Accounts, sessions, videos."),
    ("stream", "Uploads, playback and their limits."),
    ("scheduler", "Durable jobs."),
    ("proxy", "The edge in scaled mode."),
    ("gateway", "The real-time gateway (/ws)."),
];
