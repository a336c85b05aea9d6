//! Whether the clock can be right: tokens, credentials of TURN and certificates are good for a time.

use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, header};
use httpdate::{fmt_http_date, parse_http_date};

use super::finding::Finding;

const CHECK: &str = "clock";
/// What tokens forgive.
const FORGIVEN: Duration = Duration::from_secs(30);
/// Beyond this even long-lived things fail.
const SEVERE: Duration = Duration::from_secs(3_600);

const FIX: &str = "let it be set by NTP: timedatectl set-ntp true";

/// This machine's, which cannot be before the program was made.
pub(super) fn here(now: SystemTime) -> Finding {
    let program = std::env::current_exe().and_then(std::fs::metadata);
    let made = program.and_then(|program| program.modified());
    compare_with_program(now, made.ok())
}

fn compare_with_program(now: SystemTime, made: Option<SystemTime>) -> Finding {
    let shown = fmt_http_date(now);
    match made.and_then(|made| made.duration_since(now).ok()) {
        Some(behind) if behind > SEVERE => Finding::failure(
            CHECK,
            format!(
                "it says {shown}, which is before this program was made ({}): tokens and certificates fail",
                made.map_or_else(String::new, fmt_http_date)
            ),
            FIX,
        ),
        _ => Finding::ok(
            CHECK,
            format!("it says {shown}; --url compares it with a server's"),
        ),
    }
}

/// This machine's against a server's, as it says itself with its answers.
pub(super) fn against(headers: &HeaderMap, now: SystemTime) -> Finding {
    let date = headers
        .get(header::DATE)
        .and_then(|date| date.to_str().ok());
    let Some(theirs) = date.and_then(|date| parse_http_date(date).ok()) else {
        return Finding::not_checked(CHECK, "the server's answers have no date");
    };
    let (apart, who) = match now.duration_since(theirs) {
        Ok(ahead) => (ahead, "behind"),
        Err(error) => (error.duration(), "ahead of"),
    };
    let seconds = apart.as_secs();
    if apart <= FORGIVEN {
        return Finding::ok(CHECK, "the server's and this machine's agree");
    }
    let seen = format!(
        "the server's is {seconds} s {who} this machine's ({date})",
        date = fmt_http_date(theirs)
    );
    let fix = format!("on whichever of both machines it is wrong, {FIX}");
    if apart <= SEVERE {
        Finding::warning(CHECK, seen, fix)
    } else {
        Finding::failure(CHECK, seen, fix)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[test]
    fn a_clock_before_the_program_is_wrong() {
        let made = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let day = Duration::from_secs(86_400);
        for (now, outcome) in [
            (made + day, Outcome::Ok),
            (made - Duration::from_secs(60), Outcome::Ok),
            (made - day, Outcome::Failure),
        ] {
            assert_eq!(compare_with_program(now, Some(made)).outcome, outcome);
        }
        assert_eq!(compare_with_program(made, None).outcome, Outcome::Ok);
    }

    #[test]
    fn two_clocks_may_be_so_far_apart() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let at = |theirs: SystemTime| {
            let mut headers = HeaderMap::new();
            headers.insert(header::DATE, fmt_http_date(theirs).parse().unwrap());
            against(&headers, now)
        };
        let seconds = Duration::from_secs;
        assert_eq!(at(now - seconds(20)).outcome, Outcome::Ok);
        let behind = at(now - seconds(90));
        assert_eq!(behind.outcome, Outcome::Warning);
        assert!(behind.seen.contains("90 s behind"), "{}", behind.seen);
        let ahead = at(now + seconds(7_200));
        assert_eq!(ahead.outcome, Outcome::Failure);
        assert!(ahead.seen.contains("7200 s ahead of"), "{}", ahead.seen);
        assert_eq!(against(&HeaderMap::new(), now).outcome, Outcome::NotChecked);
    }
}
