//! Errors as the providers write them.

use super::*;

fn kind(status: u16, body: &str) -> FaultKind {
    refusal(Some(status), body, None, None, false).kind
}

fn headers(name: &'static str, value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(name, value.parse().unwrap());
    headers
}

#[test]
fn one_status_can_mean_two_things() {
    for (status, body, meant) in [
        (
            429,
            r#"{"error":{"code":"rate_limit_exceeded","type":"requests"}}"#,
            FaultKind::RateLimit,
        ),
        (
            429,
            r#"{"error":{"code":"insufficient_quota","type":"insufficient_quota"}}"#,
            FaultKind::Money,
        ),
        (
            400,
            r#"{"error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}"#,
            FaultKind::Money,
        ),
        (
            400,
            r#"{"error":{"code":400,"status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#,
            FaultKind::Auth,
        ),
        (
            400,
            r#"[{"error":{"code":400,"status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}]"#,
            FaultKind::Auth,
        ),
        (
            400,
            r#"{"error":{"type":"invalid_request_error","message":"temperature: too hot"}}"#,
            FaultKind::BadRequest,
        ),
        (
            429,
            r#"{"error":{"status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"RequestsPerMinute"}]}]}}"#,
            FaultKind::RateLimit,
        ),
        (
            429,
            r#"{"error":{"status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"RequestsPerDayPerModel"}]}]}}"#,
            FaultKind::Money,
        ),
        (403, r#"{"error":{"type":"permission_error"}}"#, FaultKind::Auth),
        (400, r#"{"error":{"code":"content_filter"}}"#, FaultKind::Filtered),
        (503, r#"{"error":"server busy, please try again."}"#, FaultKind::Overloaded),
        (529, r#"{"type":"error","error":{"type":"overloaded_error"}}"#, FaultKind::Overloaded),
        (502, "<html>bad gateway</html>", FaultKind::Overloaded),
        (404, "<html>not found</html>", FaultKind::BadRequest),
        (308, "", FaultKind::BadRequest),
        (402, "", FaultKind::Money),
        (401, "", FaultKind::Auth),
        (429, "", FaultKind::RateLimit),
        (408, "", FaultKind::Overloaded),
        (413, "", FaultKind::TooLong { tokens: None, limit: None }),
    ] {
        assert_eq!(kind(status, body), meant, "{status} {body}");
    }
}

#[test]
fn how_much_is_too_long_is_read_out_of_what_is_said() {
    let long = |tokens, limit| FaultKind::TooLong { tokens: Some(tokens), limit: Some(limit) };
    for (body, meant) in [
        (
            r#"{"error":{"message":"prompt is too long: 208310 tokens > 200000 maximum"}}"#,
            long(208_310, 200_000),
        ),
        (
            r#"{"error":{"code":"context_length_exceeded","message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."}}"#,
            long(9000, 8192),
        ),
        (
            r#"{"error":{"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."}}"#,
            long(1_200_000, 1_048_576),
        ),
        (
            r#"{"error":{"code":400,"type":"exceed_context_size_error","message":"too long","n_prompt_tokens":13392,"n_ctx":8192}}"#,
            long(13_392, 8192),
        ),
        (
            r#"{"error":{"code":"context_length_exceeded","message":"too long"}}"#,
            FaultKind::TooLong { tokens: None, limit: None },
        ),
    ] {
        assert_eq!(kind(400, body), meant, "{body}");
    }
    // A server that is out of order may quote a question about anything.
    assert_eq!(kind(500, r#"{"error":{"message":"context window"}}"#), FaultKind::Overloaded);
}

#[test]
fn an_error_within_an_answer_has_no_status() {
    let kind = |body| refusal(None, body, None, None, false).kind;
    assert_eq!(kind(r#"{"error":{"type":"overloaded_error"}}"#), FaultKind::Overloaded);
    assert_eq!(kind(r#"{"error":"an error was encountered"}"#), FaultKind::Overloaded);
    assert_eq!(kind(r#"{"error":{"code":"rate_limit_exceeded"}}"#), FaultKind::RateLimit);
    assert_eq!(refusal(None, "{}", None, None, true).kind, FaultKind::Filtered);
}

#[test]
fn a_provider_says_in_many_ways_how_long_it_wants_to_be_left_alone() {
    let after =
        |headers: &HeaderMap| refusal(Some(429), "", Some(headers), None, false).retry_after;
    assert_eq!(after(&headers("retry-after", "12")), Some(Duration::from_secs(12)));
    assert_eq!(after(&headers("retry-after-ms", "1500")), Some(Duration::from_millis(1500)));
    assert_eq!(after(&headers("retry-after", "-1")), None);
    assert_eq!(after(&headers("retry-after", "1e400")), None);
    assert_eq!(after(&headers("retry-after", "soon")), None);
    let past = after(&headers("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_eq!(past, Some(Duration::ZERO));
    let then = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
    let future = after(&headers("retry-after", &then)).unwrap();
    assert!((95..=100).contains(&future.as_secs()), "{future:?}");
    let body = r#"{"error":{"details":[{"@type":"RetryInfo","retryDelay":"34.5s"}]}}"#;
    let delay = refusal(Some(429), body, None, None, false).retry_after;
    assert_eq!(delay, Some(Duration::from_millis(34_500)));
}

#[test]
fn only_words_are_taken_from_a_provider() {
    for text in ["", "a b", "a\nb", "ä", &"x".repeat(65), "{\"a\"}"] {
        assert_eq!(word(text), None, "{text}");
    }
    assert_eq!(word("req_011-A.b:c").as_deref(), Some("req_011-A.b:c"));
    let body = r#"{"error":{"code":"you asked: what is love","type":"odd_error"}}"#;
    let refusal = refusal(Some(400), body, None, None, false);
    assert_eq!(refusal.code.as_deref(), Some("odd_error"));
}
