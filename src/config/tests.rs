//! Options as people write them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use super::*;
use crate::entrance::{AcmeConfig, LETS_ENCRYPT};

fn options(args: &[&str]) -> Result<Config, ConfigError> {
    let args = std::iter::once("crosspoint").chain(args.iter().copied());
    Options::try_parse_from(args).unwrap().resolve()
}

#[test]
fn nothing_given_is_the_default() {
    assert_eq!(options(&[]).unwrap(), Config::default());
}

#[test]
fn a_bare_port_listens_on_every_address() {
    let config = options(&["--listen", ":6503", "--listen", "[::1]:80"]).unwrap();
    assert_eq!(
        config.listen,
        [
            ListenAddress::Every(6503),
            ListenAddress::One("[::1]:80".parse().unwrap())
        ]
    );
}

#[test]
fn a_wrong_value_names_the_option_and_what_is_allowed() {
    for (args, words) in [
        (
            ["--shards", "0"],
            "`shards` cannot be `0`: allowed is 1 to 64",
        ),
        (["--max-participants", "1"], "allowed is 2 to 1000"),
        (["--announce", "0.0.0.0"], "clients can send to"),
        (["--log", "a=b=c"], "error, warn, info"),
        (["--allowed-origins", "example.org"], "https://example.org"),
    ] {
        let error = options(&args).unwrap_err().to_string();
        assert!(error.contains(words), "{args:?}: {error}");
    }
    let error = options(&["--udp-port", "65535", "--shards", "2"]).unwrap_err();
    assert!(error.to_string().contains("1 to 65534 with 2 shards"));
}

#[test]
fn what_is_no_value_at_all_is_refused_with_what_is_allowed() {
    for (args, words) in [
        (["--udp-port", "abc"], "a whole number, 0 to 65535"),
        (["--shards", "many"], "a whole number, 1 to 64"),
        (["--announce", "here"], "an IP address"),
        (["--listen", "80"], "127.0.0.1:8080, [::1]:8080 or :8080"),
        (["--log-format", "xml"], "text, json"),
    ] {
        let args = std::iter::once("crosspoint").chain(args);
        let error = Options::try_parse_from(args).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn an_operator_token_is_long_and_never_shown() {
    for token in ["0123456789abcde", "0123456789 abcdef", "0123456789abcdé"] {
        let error = options(&["--operator-token", token])
            .unwrap_err()
            .to_string();
        assert!(error.contains("at least 16"), "{error}");
        assert!(!error.contains(token), "{error}");
    }
    let token = "0123456789abcdef";
    let config = options(&["--operator-token", token]).unwrap();
    assert_eq!(config.operator_token, Some(OperatorToken::new(token)));
    let secret = token.parse::<Secret>().unwrap();
    assert!(!format!("{config:?}{secret:?}").contains(token));
}

#[test]
fn keys_for_tokens_have_ids_and_secrets_are_never_shown() {
    let secret = "0123456789abcdef0123456789abcdef";
    let main = format!("main:{secret}");
    let config = options(&[
        "--token-secret",
        &main,
        "--token-secret",
        "next:another",
        "--token-public-key",
        "ed:/etc/keys/a:b.pem",
    ])
    .unwrap();
    let ids: Vec<&str> = config.token_keys.iter().map(|key| key.id()).collect();
    assert_eq!(ids, ["main", "next", "ed"]);
    let path = PathBuf::from("/etc/keys/a:b.pem");
    let id = "ed".to_owned();
    assert_eq!(config.token_keys[2], KeySource::PublicKey { id, path });
    assert!(!format!("{config:?}").contains("0123"));
    let file = format!("token-secret = [\"{main}\"]\nrequire-tokens = true");
    let file: Options = toml::from_str(&file).unwrap();
    assert!(!format!("{file:?}").contains("0123"));
    assert_eq!(file.check().unwrap().token_keys[0].id(), "main");
    for wrong in [
        secret,
        "m n:secret",
        ":secret",
        "main:with space",
        "main:with\u{e9}",
    ] {
        let args = ["crosspoint", "--token-secret", wrong];
        let error = Options::try_parse_from(args).unwrap_err();
        assert!(error.to_string().contains("ID:SECRET"), "{error}");
        let file = format!("token-secret = [\"{wrong}\"]");
        assert!(toml::from_str::<Options>(&file).is_err(), "{wrong}");
    }
}

#[test]
fn a_server_that_requires_tokens_does_not_start_without_keys() {
    for args in [&["--require-tokens"][..], &["--require-tokens=true"]] {
        let error = options(args).unwrap_err().to_string();
        assert!(error.contains("--token-secret"), "{error}");
    }
    let key = "main:0123456789abcdef0123456789abcdef";
    assert!(options(&["--require-tokens", "--token-secret", key]).is_ok());
    assert!(options(&["--require-tokens=false"]).is_ok());
    assert!(options(&[]).unwrap().token_keys.is_empty());
}

#[test]
fn a_collector_of_traces_is_a_url() {
    let config = options(&["--otlp-endpoint", "http://localhost:4318"]).unwrap();
    assert_eq!(
        config.otlp_endpoint.and_then(|url| url.port_u16()),
        Some(4318)
    );
    let error = options(&["--otlp-endpoint", "localhost"]).unwrap_err();
    assert!(
        error.to_string().contains("http://localhost:4318"),
        "{error}"
    );
}

#[test]
fn webhooks_are_signed_and_their_urls_never_shown() {
    let url = ["--webhook-url", "https://example.org/a?token=secret"];
    let key = ["--webhook-secret", "0123456789abcdef"];
    let both = [url, key].concat();
    let webhooks = options(&both).unwrap().webhooks.unwrap();
    assert_eq!(webhooks.urls.len(), 1);
    assert_eq!(options(&key).unwrap().webhooks, None);
    for (args, words) in [
        (&url[..], "only with --webhook-secret"),
        (
            &["--webhook-url", "ftp://a", key[0], key[1]],
            "http or https",
        ),
        (&["--webhook-url", "/path", key[0], key[1]], "http or https"),
        (&[url[0], url[1], "--webhook-secret", "abc"], "whsec_"),
    ] {
        let error = options(args).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(
            !error.contains("token=") && !error.contains("abc"),
            "{error}"
        );
    }
}

#[test]
fn a_certificate_is_made_or_read_from_two_files() {
    let source = |args: &[&str]| options(args).map(|config| config.tls);
    assert_eq!(source(&["--tls", "off"]), Ok(None));
    let state = Some("/state".into());
    assert_eq!(
        source(&["--tls", "self", "--state-dir", "/state"]),
        Ok(Some(CertificateSource::SelfSigned { state }))
    );
    let pair = ["--tls-cert", "a", "--tls-key", "b"];
    let files = CertificateSource::Files {
        chain: "a".into(),
        key: "b".into(),
    };
    assert_eq!(source(&pair), Ok(Some(files)));
    for args in [
        &["--tls-cert", "a"][..],
        &["--tls-key", "b"],
        &["--tls", "files"],
        &["--tls", "files", "--tls-key", "b"],
    ] {
        let error = source(args).unwrap_err().to_string();
        assert!(error.contains("both --tls-cert and --tls-key"), "{error}");
    }
    for mode in ["self", "off", "acme"] {
        let error = source(&["--tls", mode, "--tls-cert", "a"]).unwrap_err();
        assert!(error.to_string().contains("no --tls-cert"), "{error}");
    }
    let file: Options = toml::from_str("tls = \"self\"").unwrap();
    assert_eq!(file.tls, Some(TlsMode::SelfSigned));
}

#[test]
fn a_certificate_is_asked_of_an_authority_for_names() {
    let source = |args: &[&str]| {
        let state = ["--state-dir", "/state"];
        options(&[args, &state].concat()).map(|config| config.tls)
    };
    let of = |domains: &[&str], email: Option<&str>, directory: &'static str| {
        Ok(Some(CertificateSource::Acme(AcmeConfig {
            domains: domains.iter().map(|&it| it.to_owned()).collect(),
            email: email.map(str::to_owned),
            directory: directory.parse().unwrap(),
            root: None,
            state: "/state".into(),
        })))
    };
    let by_default = of(&["a.example", "b.example"], None, LETS_ENCRYPT);
    let names = ["--acme-domain", "B.example,a.example,b.example"];
    assert_eq!(source(&names), by_default);
    assert_eq!(
        source(&[&names[..], &["--tls", "acme"]].concat()),
        by_default
    );
    let own = "https://acme.example/dir";
    let more = ["--acme-email", "a@b.example", "--acme-directory", own];
    assert_eq!(
        source(&[&["--acme-domain", "a.example"], &more[..]].concat()),
        of(&["a.example"], Some("a@b.example"), own)
    );
    for (args, words) in [
        (&["--tls", "acme"][..], "--acme-domain"),
        (
            &["--tls", "self", "--acme-domain", "a.example"],
            "only with --tls acme",
        ),
        (&["--acme-email", "a@b.example"], "only with --tls acme"),
        (&["--acme-domain", "*.example"], "without *"),
        (
            &["--acme-domain", "a.example", "--acme-email", "a"],
            "admin@example.org",
        ),
        (
            &[
                "--acme-domain",
                "a.example",
                "--acme-directory",
                "http://a.example/",
            ],
            "a URL of https",
        ),
        (
            &[
                "--acme-domain",
                "a.example",
                "--tls-cert",
                "x",
                "--tls-key",
                "y",
            ],
            "only with --tls acme",
        ),
    ] {
        let error = source(args).unwrap_err().to_string();
        assert!(error.contains(words), "{args:?}: {error}");
    }
}

#[test]
fn what_is_done_with_audio_can_be_switched_off() {
    let config = options(&["--red", "false", "--loudest", "0"]).unwrap();
    assert!(!config.red && config.loudest.tracks == 0);
    assert!(toml::from_str::<Options>("red = false").unwrap().red == Some(false));
    let error = options(&["--loudest", "1001"]).unwrap_err().to_string();
    assert!(error.contains("0 to 1000"), "{error}");
}

#[test]
fn the_command_line_wins_over_the_file() {
    let file: Options = toml::from_str("udp-port = 1\nring-timeout = 5").unwrap();
    let line = Options {
        udp_port: Some(2),
        ..Options::default()
    };
    let config = line.or(file).check().unwrap();
    assert_eq!(config.udp_port, 2);
    assert_eq!(config.ring_timeout, Duration::from_secs(5));
}

#[test]
fn a_file_with_an_unknown_key_is_refused() {
    let error = toml::from_str::<Options>("udp_port = 1").unwrap_err();
    assert!(error.to_string().contains("udp_port"), "{error}");
}

#[test]
fn turn_reaches_others_where_they_are_named() {
    let turn = |args: &[&str]| options(args).map(|config| config.turn);
    assert_eq!(turn(&["--turn", "false"]), Ok(None));
    let config = turn(&[
        "--turn-peers",
        "public,10.1.0.0/16,192.0.2.1",
        "--turn-relay-ports",
        "50000-50010",
        "--turn-host",
        "turn.example.org:443",
        "--turn-user",
        "ada:love:lace",
        "--turn-bandwidth",
        "500",
    ]);
    let config = config.unwrap().unwrap();
    assert!(config.peers.public);
    let networks = ["10.1.0.0/16", "192.0.2.1/32"].map(|text| text.parse().unwrap());
    assert_eq!(config.peers.networks, networks);
    assert_eq!(config.relay_ports, Some(50_000..=50_010));
    assert_eq!(config.host.unwrap().port, Some(443));
    assert_eq!(config.users[0].password, "love:lace");
    assert_eq!(config.limits.bits_per_second, 500_000);
    let file = "turn-peers = [\"public\"]\nturn-user = [\"a:b\"]";
    assert!(toml::from_str::<Options>(file).is_ok());
}

#[test]
fn what_turn_cannot_do_is_refused_and_secrets_are_not_repeated() {
    for (args, words) in [
        (["--turn-host", "a/b"], "turn.example.org:443"),
        (["--turn-lifetime", "59"], "60 to 604800"),
        (["--turn-relay-ports", "1-2"], "--turn-peers"),
        (["--turn-max-per-user", "0"], "1 to 1000000"),
    ] {
        let error = options(&args).unwrap_err().to_string();
        assert!(error.contains(words), "{args:?}: {error}");
    }
    let error = options(&["--turn-secret", "short"])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("at least 16") && !error.contains("short"),
        "{error}"
    );
    for (args, words) in [
        (["--turn-peers", "private"], "`public`, or for example"),
        (["--turn-relay-ports", "9-1"], "for example 49152-65535"),
        (["--turn-user", "ada"], "NAME:PASSWORD"),
    ] {
        let args = std::iter::once("crosspoint").chain(args);
        let error = Options::try_parse_from(args).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    let secret = "0123456789abcdef";
    let config = options(&["--turn-secret", secret, "--turn-user", "ada:lovelace"]).unwrap();
    let shown = format!("{config:?}");
    assert!(
        !shown.contains(secret) && !shown.contains("lovelace"),
        "{shown}"
    );
}

#[test]
fn a_slip_in_the_level_of_the_log_is_no_name_of_a_part() {
    for wrong in [
        "verbose",
        "",
        "bananas=",
        "info,crosspoint",
        "info,crosspoint=loud",
    ] {
        assert!(options(&["--log", wrong]).is_err(), "{wrong:?}");
    }
    for right in [
        "off",
        "WARN",
        "info,crosspoint::room=debug",
        "crosspoint=trace,rtc_dtls=error",
    ] {
        assert!(options(&["--log", right]).is_ok(), "{right:?}");
    }
}

#[test]
fn no_error_shows_a_secret() {
    let secret = "s3cr3ts3cr3ts3cr3ts3cr3ts3cr3ts3cr3t";
    for option in ["token-secret", "turn-user"] {
        let given = ["crosspoint".to_owned(), format!("--{option}={secret}")];
        let error = Options::try_parse_from(given).unwrap_err().to_string();
        assert!(
            error.contains(option) && error.contains("allowed is"),
            "{error}"
        );
        assert!(!error.contains(secret), "{error}");
    }
    let path = std::env::temp_dir().join(format!("crosspoint-{}.toml", rand::random::<u64>()));
    for (line, words) in [
        (
            format!("token-secret = [\"{secret}\"]"),
            "allowed is ID:SECRET",
        ),
        (
            format!("token-secret = [\n  \"{secret}\",\n]"),
            "allowed is ID:SECRET",
        ),
        (
            format!("token-secret = \"{secret}\""),
            "another kind of value",
        ),
        (
            format!("turn-user = [\"{secret}\"]"),
            "allowed is NAME:PASSWORD",
        ),
        (
            format!("operator-token = [\"{secret}\"]"),
            "another kind of value",
        ),
        (
            format!("webhook-secret = \"{secret}"),
            "webhook-secret in line 2",
        ),
    ] {
        std::fs::write(&path, format!("udp-port = 1\n{line}\n")).unwrap();
        let error = Options::from_file(&path).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(!error.contains(secret), "{error}");
    }
    std::fs::write(&path, "udp-port = \"no\"\n").unwrap();
    let error = Options::from_file(&path).unwrap_err().to_string();
    assert!(error.contains("udp-port = \"no\""), "{error}");
    std::fs::remove_file(&path).unwrap();
}
