//! What people may write: each rule takes a text and gives it in the form that is stored, or says what would be right.
//!
//! User text is text: control characters never get in (a line break in a description is the exception), lengths count
//! characters, not bytes, and what only looks like a text (blanks, invisible characters) counts as empty.

use std::collections::HashSet;
use std::sync::LazyLock;

use common::config::Secret;
use common::error::{ApiError, FieldError};

/// The 3,000 commonest passwords of 8 or more characters, the commonest first, in lower case.
///
/// NOTICE: taken from Django's `django/contrib/auth/common-passwords.txt.gz` (Django 5.2, BSD-3-Clause, Copyright (c)
/// Django Software Foundation and individual contributors), which Royce Williams compiled from the "Have I Been Pwned" corpus.
const COMMON_PASSWORDS: &str = include_str!("common_passwords.txt");

static COMMON: LazyLock<HashSet<&'static str>> = LazyLock::new(|| COMMON_PASSWORDS.lines().collect());

const MAX_TITLE: usize = 200;
const MAX_DESCRIPTION: usize = 5_000;
const MAX_DISPLAY_NAME: usize = 64;
const MAX_BIO: usize = 1_000;
const MAX_COMMENT: usize = 2_000;
const MAX_DANMAKU: usize = 100;
const MAX_PLATFORM: usize = 32;
/// Longest search text, in characters: no title is longer.
const MAX_QUERY: usize = 200;
/// Longest language tag, in characters (BCP 47 section 4.4.1 recommends 35).
const MAX_LANGUAGE: usize = 35;

type Rule = Result<String, String>;

/// Collects what is wrong with a body, so that the answer names every field at once.
#[derive(Default)]
pub struct Checks(Vec<FieldError>);

impl Checks {
    /// The value, or its default after noting what is wrong with the field at `pointer`.
    pub fn take<T: Default>(&mut self, pointer: &str, outcome: Result<T, String>) -> T {
        outcome.unwrap_or_else(|detail| {
            self.0.push(FieldError {
                pointer: pointer.to_owned(),
                detail,
            });
            T::default()
        })
    }

    /// 422 when anything was wrong.
    pub fn done(self) -> Result<(), ApiError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(ApiError::invalid_fields(self.0))
        }
    }
}

/// 3 to 32 of `a-z 0-9 _ -`, beginning with a letter.
pub fn is_username(text: &str) -> bool {
    (3..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
}

pub fn username(text: &str) -> Rule {
    if is_username(text) {
        Ok(text.to_owned())
    } else {
        Err("3 to 32 characters of a-z, 0-9, _ and -, beginning with a letter".into())
    }
}

/// 8 to 128 characters, not among the commonest, in whatever case.
pub fn password(password: &Secret) -> Result<(), String> {
    let text = password.expose();
    if !(8..=128).contains(&text.chars().count()) {
        Err("8 to 128 characters".into())
    } else if COMMON.contains(text.to_lowercase().as_str()) {
        Err("this is one of the most common passwords; choose another".into())
    } else {
        Ok(())
    }
}

pub fn title(text: &str) -> Rule {
    line(text, 1, MAX_TITLE)
}

pub fn description(text: &str) -> Rule {
    block(text, 0, MAX_DESCRIPTION)
}

pub fn display_name(text: &str) -> Rule {
    line(text, 1, MAX_DISPLAY_NAME)
}

pub fn bio(text: &str) -> Rule {
    block(text, 0, MAX_BIO)
}

pub fn comment(text: &str) -> Rule {
    block(text, 1, MAX_COMMENT)
}

pub fn danmaku(text: &str) -> Rule {
    line(text, 1, MAX_DANMAKU)
}

/// `#rrggbb`, in lower case.
pub fn color(text: &str) -> Rule {
    match text.strip_prefix('#') {
        Some(digits) if digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Ok(text.to_ascii_lowercase())
        }
        _ => Err("a color like #rrggbb".into()),
    }
}

/// What a program calls itself at sign-in.
pub fn platform(text: &str) -> Rule {
    line(text, 0, MAX_PLATFORM)
}

pub fn query(text: &str) -> Rule {
    line(text, 0, MAX_QUERY)
}

/// A language tag such as `en` or `zh-CN` (the shape of BCP 47, not its registry); empty when not set.
pub fn language(text: &str) -> Rule {
    let mut parts = text.split('-');
    let primary = parts.next().unwrap_or_default();
    let shaped = (2..=8).contains(&primary.len())
        && primary.bytes().all(|b| b.is_ascii_alphabetic())
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
    if text.is_empty() || (shaped && text.len() <= MAX_LANGUAGE) {
        Ok(text.to_owned())
    } else {
        Err("a language tag such as en or zh-CN".into())
    }
}

/// One line: no control characters and none that turn the direction of the text around it.
fn line(text: &str, least: usize, most: usize) -> Rule {
    let forbidden = |c: char| c.is_control() || turns_direction(c) || matches!(c, '\u{2028}' | '\u{2029}');
    limited(text, least, most, forbidden)
}

/// Several lines: line feeds and tabs are the only control characters.
fn block(text: &str, least: usize, most: usize) -> Rule {
    limited(text, least, most, |c| c.is_control() && !matches!(c, '\n' | '\t'))
}

fn limited(text: &str, least: usize, most: usize, forbidden: impl Fn(char) -> bool) -> Rule {
    let text = text.trim();
    let length = text.chars().count();
    if let Some(c) = text.chars().find(|c| forbidden(*c)) {
        Err(format!("the character U+{:04X} is not allowed here", u32::from(c)))
    } else if length > most || length < least {
        Err(format!("{least} to {most} characters"))
    } else if least > 0 && text.chars().all(|c| c.is_whitespace() || is_invisible(c)) {
        Err(format!("{least} to {most} characters, at least one of them visible"))
    } else {
        Ok(text.to_owned())
    }
}

/// Embeddings, overrides and isolates (Unicode UAX 9 section 2): in a title they would reorder the page around it.
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Characters without a picture that are neither blanks nor control characters.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}') || turns_direction(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: fn(&str) -> Rule, input: &str, expected: Option<&str>) {
        assert_eq!(rule(input).ok().as_deref(), expected, "{input:?}");
    }

    #[test]
    fn usernames() {
        for good in ["ann", "a-b_9", &"a".repeat(32)] {
            check(username, good, Some(good));
        }
        for bad in [
            "",
            "an",
            "Ann",
            "1ab",
            "_ab",
            "ab c",
            "ann\n",
            "änn",
            "a/b",
            &"a".repeat(33),
        ] {
            check(username, bad, None);
        }
    }

    #[test]
    fn passwords() {
        let check = |text: &str, good: bool| assert_eq!(password(&Secret::from(text)).is_ok(), good, "{text}");
        check("a long enough passphrase", true);
        check("1234567", false);
        check("password1", false);
        check("PassWord1", false);
        check(&"x".repeat(129), false);
        check("пароль-на-русском", true);
        assert_eq!(COMMON.len(), 3_000);
        assert!(COMMON.iter().all(|word| word.chars().count() >= 8));
    }

    #[test]
    fn titles() {
        check(title, "  A bear  ", Some("A bear"));
        check(title, "熊🐻", Some("熊🐻"));
        check(title, &"熊".repeat(200), Some(&"熊".repeat(200)));
        for bad in [
            "",
            "   ",
            "\u{200f}\u{200b}",
            "a\0b",
            "a\r\nb",
            "a\nb",
            "a\u{202e}b",
            "a\u{2028}b",
            "\u{7f}x",
            &"x".repeat(201),
        ] {
            check(title, bad, None);
        }
    }

    #[test]
    fn texts_of_several_lines() {
        check(comment, "a\n\tb", Some("a\n\tb"));
        check(description, "", Some(""));
        for bad in ["a\0", "a\u{1b}[0m", "a\rb"] {
            check(comment, bad, None);
        }
        check(comment, " \n ", None);
        check(comment, &"x".repeat(2_001), None);
        check(description, &"x".repeat(5_001), None);
    }

    #[test]
    fn danmaku_are_one_line() {
        check(danmaku, " 弹幕 ", Some("弹幕"));
        check(danmaku, &"弹".repeat(100), Some(&"弹".repeat(100)));
        for bad in ["", "  ", "a\nb", "a\tb", "\u{200b}", "\u{202e}x", &"x".repeat(101)] {
            check(danmaku, bad, None);
        }
    }

    #[test]
    fn colors() {
        check(color, "#FFaa00", Some("#ffaa00"));
        for bad in [
            "",
            "#",
            "#fff",
            "ffaa00",
            "#ffaa000",
            "#ggaa00",
            "#ffaa0\u{301}",
            "red",
            "# fffff",
        ] {
            check(color, bad, None);
        }
    }

    #[test]
    fn languages() {
        for good in ["", "en", "zh-CN", "sr-Latn-RS"] {
            check(language, good, Some(good));
        }
        for bad in ["e", "en_US", "en-", "-en", "../..", "de DE"] {
            check(language, bad, None);
        }
    }
}
