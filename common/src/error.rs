//! The catalogue of everything a client can be told went wrong, and the error type that carries one entry of it.
//!
//! Nothing else in the workspace picks a status: a handler returns an [`ApiError`] made from a [`Code`], and the code's
//! line in the table below fixes name, HTTP status, gateway number and title. The client reads code and detail; the log
//! reads the cause, once, with the operation id.

mod api_error;
#[cfg(feature = "db")]
mod database;
mod problem;

pub use api_error::{ApiError, FieldError};
pub use problem::{PROBLEM_JSON, Problem};

/// One line of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The name in `code` and in `type` (`/problems/<code>`).
    pub code: &'static str,
    pub status: u16,
    /// `errCode` of the real-time gateway and of the problem document.
    pub number: u16,
    pub title: &'static str,
}

macro_rules! catalogue {
    ($($variant:ident = $code:literal, $status:literal, $number:literal, $title:literal;)*) => {
        /// Every failure a client can see.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($variant),* }

        impl Code {
            pub const ALL: &'static [Code] = &[$(Code::$variant),*];

            pub const fn entry(self) -> Entry {
                match self {
                    $(Code::$variant => Entry { code: $code, status: $status, number: $number, title: $title },)*
                }
            }
        }
    };
}

catalogue! {
    BadRequest = "bad_request", 400, 2000, "The request can't be read";
    Unauthenticated = "unauthenticated", 401, 2001, "Sign in first";
    WrongCredentials = "wrong_credentials", 401, 2002, "The name or the password is wrong";
    Forbidden = "forbidden", 403, 2003, "You may not do this";
    NotFound = "not_found", 404, 2004, "Not found";
    MethodNotAllowed = "method_not_allowed", 405, 2005, "This method is not allowed here";
    RequestTimeout = "request_timeout", 408, 2006, "The request took too long to arrive";
    UsernameTaken = "username_taken", 409, 2007, "This name is taken";
    Conflict = "conflict", 409, 2008, "This conflicts with the present state";
    OffsetMismatch = "offset_mismatch", 409, 2009, "The upload continues at another offset";
    Gone = "gone", 410, 2010, "This is gone";
    LengthRequired = "length_required", 411, 2011, "A length is required";
    PreconditionFailed = "precondition_failed", 412, 2012, "A precondition of the request failed";
    BodyTooLarge = "body_too_large", 413, 2013, "The body is too large";
    UriTooLong = "uri_too_long", 414, 2014, "The address is too long";
    UnsupportedMedia = "unsupported_media", 415, 2015, "This is not a video that can be played";
    RangeNotSatisfiable = "range_not_satisfiable", 416, 2016, "The range lies outside of the file";
    ExpectationFailed = "expectation_failed", 417, 2017, "The expectation can't be met";
    Invalid = "invalid", 422, 2018, "A field is not valid";
    TooManyRequests = "too_many_requests", 429, 2019, "Too many requests";
    TooManyStreams = "too_many_streams", 429, 2020, "Too many streams at once";
    TooManyUploads = "too_many_uploads", 429, 2021, "Too many uploads at once";
    TooManyConnections = "too_many_connections", 429, 2022, "Too many connections at once";
    BudgetSpent = "budget_spent", 429, 2029, "The budget of this day is used up";
    HeadersTooLarge = "headers_too_large", 431, 2023, "The header fields are too large";
    ChecksumMismatch = "checksum_mismatch", 460, 2024, "The checksum differs";
    Internal = "internal", 500, 2025, "Something went wrong on our side";
    BadGateway = "upstream_unavailable", 502, 2026, "A service behind this one gave no usable answer";
    UpstreamUnavailable = "upstream_unavailable", 503, 2026, "A service behind this one is away";
    GatewayTimeout = "upstream_unavailable", 504, 2026, "A service behind this one took too long";
    Overloaded = "overloaded", 503, 2027, "Too busy, try again shortly";
    StorageFull = "storage_full", 507, 2028, "The storage is full";
}

impl Code {
    /// The entry for a bare status that the framework or an upstream made. Statuses outside of the catalogue become
    /// `bad_request` (4xx) or `internal` (5xx).
    #[must_use]
    pub fn from_status(status: u16) -> Code {
        match status {
            401 => Code::Unauthenticated,
            409 => Code::Conflict,
            429 => Code::TooManyRequests,
            503 => Code::UpstreamUnavailable,
            _ => Code::ALL
                .iter()
                .copied()
                .find(|code| code.entry().status == status)
                .unwrap_or(if status < 500 { Code::BadRequest } else { Code::Internal }),
        }
    }

    /// The entry of a code name and status, as read from another service's problem document.
    #[must_use]
    pub fn from_name(name: &str, status: u16) -> Option<Code> {
        let named = |code: &&Code| code.entry().code == name;
        Code::ALL
            .iter()
            .find(|code| named(code) && code.entry().status == status)
            .or_else(|| Code::ALL.iter().find(named))
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn every_code_has_one_name_one_number_and_a_failure_status() {
        let mut numbers = HashMap::new();
        for code in Code::ALL {
            let entry = code.entry();
            assert!((400..600).contains(&entry.status), "{code:?}");
            assert!(!entry.title.is_empty());
            let name = numbers.entry(entry.number).or_insert(entry.code);
            assert_eq!(*name, entry.code, "number {} is used twice", entry.number);
            assert_eq!(Code::from_name(entry.code, entry.status), Some(*code));
        }
    }

    #[test]
    fn framework_statuses_find_their_entry() {
        for (status, code) in [
            (404, Code::NotFound),
            (405, Code::MethodNotAllowed),
            (413, Code::BodyTooLarge),
            (418, Code::BadRequest),
            (505, Code::Internal),
        ] {
            assert_eq!(Code::from_status(status), code);
        }
    }
}
