//! stream-service with its media in a bucket of a real S3 protocol server (s3-server/), and the client of the protocol alone.

mod client;
