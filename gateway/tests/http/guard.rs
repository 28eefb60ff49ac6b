//! What holds for every path.

use base64::Engine as _;
use ferromq_gateway::credentials::Credentials;
use ferromq_gateway::http::problem::Kind;
use ferromq_store::FlushMode;

use crate::rig::Http;

#[tokio::test]
async fn what_is_not_there_is_refused_by_the_table() {
    let http = Http::start().await;
    http.get("/nothing").await.refused("no-route");
    let answer = http.ask("PUT", "/v1/topics/T/messages", &[], b"").await;
    answer.refused("method-not-allowed");
    assert!(answer.header("allow").is_some_and(|allow| allow.contains("POST")), "{answer:?}");
    let answer = http.ask("GET", "/nothing", &[("X-Request-Id", "mine-1")], b"").await;
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
    http.stop().await;
}

#[test]
fn no_two_problems_share_a_code() {
    let mut codes: Vec<_> = Kind::ALL.iter().map(|kind| kind.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), Kind::ALL.len());
}

#[tokio::test]
async fn pages_of_other_sites_may_not_use_it_unless_they_are_named() {
    let http =
        Http::with(FlushMode::Async, |config| config.cors_origins = "https://a.example".to_owned(), None)
            .await;
    let ask = async |origin: &str| http.ask("GET", "/openapi.json", &[("Origin", origin)], b"").await;
    ask("https://b.example").await.refused("forbidden");
    let allowed = ask("https://a.example").await;
    assert_eq!(
        (allowed.status, allowed.header("access-control-allow-origin")),
        (200, Some("https://a.example"))
    );
    assert_eq!(ask("http://localhost").await.status, 200, "the server's own page");
    let preflight = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "POST")];
    let preflight = http.ask("OPTIONS", "/v1/topics/T/messages", &preflight, b"").await;
    assert!(preflight.header("access-control-allow-methods").is_some(), "{preflight:?}");
    http.stop().await;
}

/// A page can make its own name mean 127.0.0.1, and then looks like ours to the browser.
#[tokio::test]
async fn a_host_of_another_name_is_refused_on_a_listener_of_this_machine() {
    let http = Http::start().await;
    http.ask("GET", "/openapi.json", &[("Host", "evil.example")], b"").await.refused("forbidden");
    assert_eq!(http.ask("GET", "/openapi.json", &[("Host", "127.0.0.1:8080")], b"").await.status, 200);
    http.stop().await;
}

#[tokio::test]
async fn only_who_is_known_may_use_it_where_credentials_are_set() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "token ci s3cret\nuser ann pass\n").unwrap();
    let http = Http::with(FlushMode::Async, |_| {}, Some(Credentials::load(file.path()).unwrap())).await;
    let ask = async |headers: &[(&str, &str)]| http.ask("GET", "/openapi.json", headers, b"").await;
    let refused = ask(&[]).await;
    refused.refused("unauthenticated");
    assert!(refused.header("www-authenticate").is_some());
    ask(&[("Authorization", "Bearer wrong")]).await.refused("unauthenticated");
    assert_eq!(ask(&[("Authorization", "Bearer s3cret")]).await.status, 200);
    let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode("ann:pass"));
    assert_eq!(ask(&[("Authorization", &basic)]).await.status, 200);

    http.ask("POST", "/v1/session", &[], b"").await.refused("unauthenticated");
    let login = http.ask("POST", "/v1/session", &[("Authorization", "Bearer s3cret")], b"").await;
    let cookie = login.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(ask(&[("Cookie", cookie)]).await.status, 200);
    ask(&[("Cookie", &cookie.replace('.', ".0"))]).await.refused("unauthenticated");
    let asked = http.get("/v1/session").await;
    assert!(asked.header("www-authenticate").is_some_and(|ways| ways.contains("Basic")), "{asked:?}");
    // The browser of a page that has a form for it does not ask as well.
    let page = http.ask("GET", "/v1/session", &[("X-Requested-With", "FerroMQ-Dashboard")], b"").await;
    assert_eq!(page.header("www-authenticate"), Some("Bearer realm=\"ferromq\""));
    assert_eq!(http.get("/").await.status, 200, "the page itself");
    http.stop().await;
}

#[tokio::test]
async fn the_description_is_openapi_3_1_and_names_every_path_that_is_served() {
    let http = Http::start().await;
    let document = http.get("/openapi.json").await.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let send = &document["paths"]["/v1/topics/{topic}/messages"]["post"];
    assert!(send["requestBody"]["content"].get("application/x-ndjson").is_some(), "{send}");
    let mut ids = Vec::new();
    for methods in document["paths"].as_object().unwrap().values() {
        for operation in methods.as_object().unwrap().values() {
            ids.push(operation["operationId"].as_str().unwrap().to_owned());
            assert!(operation["tags"].is_array() && operation["summary"].is_string(), "{operation}");
        }
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "operation ids are unique");
    http.stop().await;
}

#[tokio::test]
async fn a_stop_answers_what_is_in_hand_and_then_ends() {
    let http = Http::start().await;
    let mut connection = http.connect().await;
    let lines = [("Content-Type", "application/x-ndjson")];
    connection.begin("POST", "/v1/topics/T/messages", &lines, None).await;
    connection.chunk(b"{\"text\":\"1\"}\n").await;
    assert_eq!(connection.read_head().await.status, 200);
    connection.read_chunk().await.expect("a result");
    let rest = async {
        connection.chunk(b"{\"text\":\"2\"}\n").await;
        connection.chunk(b"").await;
        let result = connection.read_chunk().await.expect("another");
        assert!(String::from_utf8_lossy(&result).contains("messageId"));
        assert_eq!(connection.read_chunk().await, None);
    };
    tokio::join!(http.stop(), rest);
}
