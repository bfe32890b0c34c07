//! The handshake of the test client: what it brings, and what it is answered.

use common::testing::raw::{Answer, Raw};
use tokio::net::TcpStream;

use super::api::User;
use super::client::Client;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What a client brings to the handshake.
#[derive(Debug, Clone)]
pub struct Knock {
    pub target: String,
    pub fields: Vec<String>,
}

impl Knock {
    /// With the token as `Authorization`, on platform 5.
    pub fn by(user: &User) -> Knock {
        Knock::on(user, 5)
    }

    pub fn on(user: &User, platform: u8) -> Knock {
        Knock::plain(&format!("/ws?sendID={}&platformID={platform}", user.name()))
            .with(&format!("Authorization: Bearer {}", user.token))
    }

    /// As an OpenIM client does.
    pub fn by_query(user: &User) -> Knock {
        let (name, token) = (user.name(), &user.token);
        Knock::plain(&format!("/ws?sendID={name}&platformID=5&operationID=o1&token={token}"))
    }

    /// Without a token.
    pub fn plain(target: &str) -> Knock {
        let fields = [
            "Host: t",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            &format!("Sec-WebSocket-Key: {KEY}"),
        ];
        Knock {
            target: target.to_owned(),
            fields: fields.map(str::to_owned).into(),
        }
    }

    pub fn with(mut self, field: &str) -> Knock {
        self.fields.push(field.to_owned());
        self
    }

    pub fn without(mut self, name: &str) -> Knock {
        self.fields.retain(|field| !field.starts_with(&format!("{name}:")));
        self
    }

    pub fn text(&self) -> String {
        format!("GET {} HTTP/1.1\r\n{}\r\n\r\n", self.target, self.fields.join("\r\n"))
    }

    /// The answer and the connection.
    pub async fn knock(&self, base: &str) -> (Answer, Raw) {
        let io = TcpStream::connect(base.strip_prefix("http://").unwrap()).await.unwrap();
        let mut raw = Raw::over(io);
        raw.send(&self.text()).await;
        let answer = raw.head().await;
        (answer, raw)
    }

    /// The answer of a refused one.
    pub async fn refused(&self, base: &str) -> Answer {
        let (mut answer, mut raw) = self.knock(base).await;
        assert_ne!(answer.status, 101, "it was let in");
        (answer.body, _) = raw.body(&answer).await;
        answer
    }

    /// Connects, and reads the first event.
    pub async fn enter(&self, base: &str) -> Client {
        self.try_enter(base)
            .await
            .unwrap_or_else(|answer| panic!("{} {}", answer.head, answer.text()))
    }

    pub async fn try_enter(&self, base: &str) -> Result<Client, Answer> {
        let (mut answer, mut raw) = self.knock(base).await;
        if answer.status != 101 {
            (answer.body, _) = raw.body(&answer).await;
            return Err(answer);
        }
        let mut client = Client::over(raw);
        let first = client.next().await;
        assert_eq!(first["event"], "OnConnectSuccess");
        client.waiting.push_back(first);
        Ok(client)
    }
}
