//! Conditional requests (RFC 9110 section 13): whether to answer at all, with 304, or with 412, and whether a `Range` still
//! counts. Pure; the fields are evaluated in the order of section 13.2.2, and weak tags never match where a strong
//! comparison is asked for.

use std::time::SystemTime;

/// The conditional fields of a GET or HEAD as received; several lines of one field joined with `", "`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions<'a> {
    pub if_match: Option<&'a str>,
    pub if_unmodified_since: Option<&'a str>,
    pub if_none_match: Option<&'a str>,
    pub if_modified_since: Option<&'a str>,
    pub if_range: Option<&'a str>,
}

/// What the stored object has to compare with.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// The strong entity tag with its quotes.
    pub etag: &'a str,
    /// Last-Modified, whole seconds. Objects never change once stored, so this date is a strong validator too.
    pub modified: SystemTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answer; `use_range` is false when `If-Range` names another version.
    Proceed { use_range: bool },
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Evaluates the fields for a GET or HEAD.
pub fn evaluate(conditions: &Conditions<'_>, current: &Validators<'_>) -> Outcome {
    match conditions.if_match {
        Some(list) if !any_tag(list, |tag| strong_match(tag, current.etag)) => return Outcome::Failed,
        Some(_) => {}
        None => {
            // An invalid date is ignored, as section 13.1.4 says.
            if date(conditions.if_unmodified_since).is_some_and(|limit| current.modified > limit) {
                return Outcome::Failed;
            }
        }
    }
    match conditions.if_none_match {
        Some(list) if any_tag(list, |tag| weak_match(tag, current.etag)) => return Outcome::NotModified,
        Some(_) => {}
        None => {
            if date(conditions.if_modified_since).is_some_and(|since| current.modified <= since) {
                return Outcome::NotModified;
            }
        }
    }
    Outcome::Proceed {
        use_range: conditions.if_range.is_none_or(|value| range_matches(value, current)),
    }
}

/// Section 13.1.5: a strong tag that is the same, or a date that is exactly the same.
fn range_matches(value: &str, current: &Validators<'_>) -> bool {
    let value = value.trim();
    if value.starts_with('"') || value.starts_with("W/") {
        return strong_match(value, current.etag);
    }
    date(Some(value)).is_some_and(|then| then == current.modified)
}

fn date(value: Option<&str>) -> Option<SystemTime> {
    value.and_then(|value| httpdate::parse_http_date(value.trim()).ok())
}

fn strong_match(tag: &str, current: &str) -> bool {
    tag == "*" || tag == current
}

fn weak_match(tag: &str, current: &str) -> bool {
    tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == current
}

/// Whether any entity-tag of the list satisfies `test`. A tag may contain commas, so the list is walked quote by quote; what
/// follows the first malformed member is not looked at. `*` stands alone (section 13.1.1).
fn any_tag(list: &str, test: impl Fn(&str) -> bool) -> bool {
    let mut rest = list.trim();
    if rest == "*" {
        return test("*");
    }
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let weak = if rest.starts_with("W/") { 2 } else { 0 };
        if rest.as_bytes().get(weak) != Some(&b'"') {
            return false;
        }
        let Some(length) = rest[weak + 1..].find('"') else {
            return false;
        };
        let (tag, after) = rest.split_at(weak + length + 2);
        if test(tag) {
            return true;
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const ETAG: &str = "\"abc\"";
    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const GO: Outcome = Outcome::Proceed { use_range: true };
    const GO_WHOLE: Outcome = Outcome::Proceed { use_range: false };

    #[track_caller]
    fn check(conditions: Conditions<'_>, expected: Outcome) {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(
            evaluate(&conditions, &Validators { etag: ETAG, modified }),
            expected,
            "{conditions:?}"
        );
    }

    #[test]
    fn nothing_asked() {
        check(Conditions::default(), GO);
    }

    #[test]
    fn if_none_match_compares_weakly() {
        for list in [
            "\"abc\"",
            "W/\"abc\"",
            "*",
            " \"x\" , \"abc\"",
            "\"a,b\",\"abc\"",
            ",,\"abc\"",
        ] {
            check(
                Conditions {
                    if_none_match: Some(list),
                    ..Default::default()
                },
                Outcome::NotModified,
            );
        }
        for list in ["\"x\"", "abc", "", "\"abc", "\"x\", *", "\"x\" garbage", "w/\"abc\""] {
            check(
                Conditions {
                    if_none_match: Some(list),
                    ..Default::default()
                },
                GO,
            );
        }
    }

    #[test]
    fn if_match_compares_strongly() {
        for list in ["\"abc\"", "*", "\"x\",\"abc\""] {
            check(
                Conditions {
                    if_match: Some(list),
                    ..Default::default()
                },
                GO,
            );
        }
        for list in ["W/\"abc\"", "\"x\"", "", "abc"] {
            check(
                Conditions {
                    if_match: Some(list),
                    ..Default::default()
                },
                Outcome::Failed,
            );
        }
    }

    #[test]
    fn dates() {
        check(
            Conditions {
                if_modified_since: Some(THEN),
                ..Default::default()
            },
            Outcome::NotModified,
        );
        check(
            Conditions {
                if_modified_since: Some(AFTER),
                ..Default::default()
            },
            Outcome::NotModified,
        );
        check(
            Conditions {
                if_modified_since: Some(BEFORE),
                ..Default::default()
            },
            GO,
        );
        check(
            Conditions {
                if_modified_since: Some("yesterday"),
                ..Default::default()
            },
            GO,
        );
        check(
            Conditions {
                if_unmodified_since: Some(BEFORE),
                ..Default::default()
            },
            Outcome::Failed,
        );
        check(
            Conditions {
                if_unmodified_since: Some(THEN),
                ..Default::default()
            },
            GO,
        );
        check(
            Conditions {
                if_unmodified_since: Some("yesterday"),
                ..Default::default()
            },
            GO,
        );
    }

    #[test]
    fn the_tag_has_precedence_over_the_date() {
        check(
            Conditions {
                if_none_match: Some("\"x\""),
                if_modified_since: Some(AFTER),
                ..Default::default()
            },
            GO,
        );
        check(
            Conditions {
                if_match: Some(ETAG),
                if_unmodified_since: Some(BEFORE),
                ..Default::default()
            },
            GO,
        );
    }

    #[test]
    fn if_match_is_decided_before_if_none_match() {
        check(
            Conditions {
                if_match: Some("\"x\""),
                if_none_match: Some(ETAG),
                ..Default::default()
            },
            Outcome::Failed,
        );
        check(
            Conditions {
                if_match: Some(ETAG),
                if_none_match: Some(ETAG),
                ..Default::default()
            },
            Outcome::NotModified,
        );
    }

    #[test]
    fn if_range_needs_a_strong_tag_or_the_exact_date() {
        for value in [ETAG, THEN, " \"abc\" "] {
            check(
                Conditions {
                    if_range: Some(value),
                    ..Default::default()
                },
                GO,
            );
        }
        for value in ["W/\"abc\"", "\"x\"", BEFORE, AFTER, "*", "abc", "", "\"abc\",\"x\""] {
            check(
                Conditions {
                    if_range: Some(value),
                    ..Default::default()
                },
                GO_WHOLE,
            );
        }
    }
}
