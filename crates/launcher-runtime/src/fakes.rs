//! A journal for tests of the runtime: what matters of it, in memory. The real
//! one has its own tests.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use launcher_core::{
    agent::AgentId,
    approval::Verdict,
    claim::Claims,
    conversation::Message,
    fault::Fault,
    greeting::Greeting,
    names::{EventId, RoomId, UserId},
    secret::{PickleKey, Secret},
    spec::AgentSpec,
    trust::UserRecord,
};

use launcher_core::spec::{
    Account, BehaviorSpec, CatchUp, Encryption, InvitePolicy, Network, TrustMode,
    UndecryptablePolicy, VerificationPolicy,
};

use crate::ports::{
    Answer, Answered, Memory as Keepsake,
    journal::{
        Draft, Duplicate, Heard, Intake, Journal, Journals, Life, Locked, Number, OpenQuestion,
        Outcome, OutgoingRecord, Pending, Place, Queued, Stamp,
    },
};

#[derive(Debug, Default)]
pub(crate) struct MemoryJournals(Mutex<BTreeMap<AgentId, Arc<Memory>>>);

impl MemoryJournals {
    pub(crate) fn with(agent: AgentId, journal: Arc<Memory>) -> Self {
        Self(Mutex::new([(agent, journal)].into()))
    }

    pub(crate) fn of(&self, agent: &AgentId) -> Arc<Memory> {
        self.0.lock().unwrap().entry(agent.clone()).or_default().clone()
    }
}

impl Journals for MemoryJournals {
    fn journal(&self, spec: &AgentSpec) -> Arc<dyn Journal> {
        self.of(&spec.id)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Content>);

#[derive(Debug, Default)]
struct Content {
    generation: u64,
    in_use: bool,
    messages: Vec<Queued>,
    outcomes: BTreeMap<Number, Outcome>,
    memories: BTreeMap<String, Vec<u8>>,
    questions: Vec<OpenQuestion>,
}

impl Content {
    fn decide(&mut self, verdicts: &[Verdict]) {
        for verdict in verdicts {
            let asked = self.questions.iter_mut();
            for question in asked.filter(|one| one.asked.event == verdict.question) {
                question.answered.get_or_insert(verdict.into());
            }
        }
    }
}

impl Memory {
    /// The number of the only message.
    pub(crate) fn number(&self) -> Number {
        self.0.lock().unwrap().messages[0].number
    }

    /// How often the behavior was asked about the only message.
    pub(crate) fn tries(&self) -> u32 {
        self.0.lock().unwrap().messages.first().map_or(0, |queued| queued.tries)
    }

    /// How the work on the only message ended.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.0.lock().unwrap().outcomes.values().next().copied()
    }

    /// Lets a message have arrived this much earlier.
    pub(crate) fn age(&self, number: Number, by: Duration) {
        self.message(number, |queued| queued.arrived = queued.arrived.minus(by));
    }

    pub(crate) fn is_clean(&self) -> bool {
        !self.0.lock().unwrap().in_use
    }

    fn message<T>(&self, number: Number, change: impl FnOnce(&mut Queued) -> T) -> T {
        let mut content = self.0.lock().unwrap();
        change(content.messages.iter_mut().find(|queued| queued.number == number).unwrap())
    }
}

#[async_trait]
impl Journal for Memory {
    async fn begin(&self) -> Result<Life, Fault> {
        let mut content = self.0.lock().unwrap();
        content.generation += 1;
        let clean = !std::mem::replace(&mut content.in_use, true);
        Ok(Life { generation: content.generation, clean })
    }

    async fn end(&self) -> Result<(), Fault> {
        self.0.lock().unwrap().in_use = false;
        Ok(())
    }

    async fn rest(&self) {}

    async fn position(&self) -> Result<Option<String>, Fault> {
        Ok(None)
    }

    async fn ingest(&self, batch: Intake) -> Result<Vec<(EventId, Duplicate)>, Fault> {
        let mut content = self.0.lock().unwrap();
        let verdicts: Vec<Verdict> =
            batch.heard.iter().filter_map(|heard| heard.verdict.clone()).collect();
        for heard in batch.heard.into_iter().filter(|heard| heard.wanted) {
            let number = Number(i64::try_from(content.messages.len()).unwrap() + 1);
            let message = heard.message;
            let arrived = crate::stamp();
            content.messages.push(Queued {
                number,
                message,
                arrived,
                tries: 0,
                work: None,
                draft: None,
                answers: None,
            });
        }
        content.decide(&verdicts);
        Ok(Vec::new())
    }

    async fn waiting(&self, after: Number, limit: usize) -> Result<Vec<Place>, Fault> {
        let content = self.0.lock().unwrap();
        let waits = |queued: &&Queued| {
            queued.number > after && !content.outcomes.contains_key(&queued.number)
        };
        let place =
            |queued: &Queued| Place { number: queued.number, room: queued.message.room.clone() };
        Ok(content.messages.iter().filter(waits).take(limit).map(place).collect())
    }

    async fn queued(&self, number: Number) -> Result<Option<Queued>, Fault> {
        let content = self.0.lock().unwrap();
        let found = content.messages.iter().find(|queued| queued.number == number);
        Ok(found.filter(|_| !content.outcomes.contains_key(&number)).cloned())
    }

    async fn attempt(&self, number: Number) -> Result<u32, Fault> {
        Ok(self.message(number, |queued| {
            queued.tries += 1;
            queued.tries
        }))
    }

    async fn give_back(&self, number: Number) -> Result<(), Fault> {
        self.message(number, |queued| queued.tries = (queued.tries - 1).max(1));
        Ok(())
    }

    async fn keep_answers(
        &self,
        number: Number,
        answers: &[Answer],
        memories: &[Keepsake],
    ) -> Result<(), Fault> {
        self.message(number, |queued| queued.answers = Some(answers.to_vec()));
        self.remember(memories).await
    }

    async fn note_work(&self, number: Number, work: &[u8]) -> Result<(), Fault> {
        self.message(number, |queued| queued.work = Some(work.to_vec()));
        Ok(())
    }

    async fn note_draft(&self, number: Number, draft: &Draft) -> Result<(), Fault> {
        self.message(number, |queued| queued.draft = Some(draft.clone()));
        Ok(())
    }

    async fn merge(&self, number: Number, into: Number) -> Result<(), Fault> {
        let first = self.message(number, |queued| queued.message.clone());
        self.message(into, |queued| queued.message.prepend(first));
        self.settle(number, Outcome::Done).await
    }

    async fn follower(&self, number: Number) -> Result<Option<Queued>, Fault> {
        let content = self.0.lock().unwrap();
        let room = content.messages.iter().find(|one| one.number == number).unwrap();
        let room = room.message.room.clone();
        let follows = |queued: &&Queued| {
            queued.number > number && queued.tries == 0 && queued.message.room == room
        };
        Ok(content.messages.iter().find(follows).cloned())
    }

    async fn begin_task(
        &self,
        task: &Message,
        answers: Option<&[Answer]>,
        memories: &[Keepsake],
    ) -> Result<bool, Fault> {
        let is_known =
            self.0.lock().unwrap().messages.iter().any(|one| one.message.event == task.event);
        if is_known {
            return Ok(false);
        }
        let heard = Heard { message: task.clone(), ciphertext: None, wanted: true, verdict: None };
        self.ingest(Intake { heard: vec![heard], ..Intake::default() }).await?;
        self.0.lock().unwrap().messages.last_mut().unwrap().answers = answers.map(<[_]>::to_vec);
        self.remember(memories).await?;
        Ok(true)
    }

    async fn recall(&self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.0.lock().unwrap().memories.get(key).cloned())
    }

    async fn recall_all(&self, prefix: &str) -> Result<Vec<Keepsake>, Fault> {
        let content = self.0.lock().unwrap();
        let known = content.memories.iter().filter(|(key, _)| key.starts_with(prefix));
        Ok(known
            .map(|(key, value)| Keepsake { key: key.clone(), value: Some(value.clone()) })
            .collect())
    }

    async fn remember(&self, memories: &[Keepsake]) -> Result<(), Fault> {
        let mut content = self.0.lock().unwrap();
        for Keepsake { key, value } in memories {
            match value {
                Some(value) => content.memories.insert(key.clone(), value.clone()),
                None => content.memories.remove(key),
            };
        }
        Ok(())
    }

    async fn takes_part(&self, _room: &RoomId, _thread: &EventId) -> Result<bool, Fault> {
        Ok(false)
    }

    async fn keep_question(&self, question: &OpenQuestion) -> Result<(), Fault> {
        let mut content = self.0.lock().unwrap();
        content
            .questions
            .retain(|one| (one.number, one.place) != (question.number, question.place));
        content.questions.push(question.clone());
        Ok(())
    }

    async fn take_verdict(&self, verdict: &Verdict, from: Number) -> Result<(), Fault> {
        self.0.lock().unwrap().decide(std::slice::from_ref(verdict));
        self.settle(from, Outcome::Skipped).await
    }

    async fn expire(&self, question: &OpenQuestion) -> Result<Answered, Fault> {
        let mut content = self.0.lock().unwrap();
        let mut asked = content.questions.iter_mut();
        let known = asked.find(|one| one.about == question.about).unwrap();
        Ok(known.answered.get_or_insert(Answered::Expired).clone())
    }

    async fn questions(&self) -> Result<Vec<OpenQuestion>, Fault> {
        Ok(self.0.lock().unwrap().questions.clone())
    }

    async fn answer_done(&self, number: Number, transaction: &str) -> Result<(), Fault> {
        self.message(number, |queued| {
            queued.answers.as_mut().unwrap().retain(|answer| answer.transaction != transaction);
        });
        Ok(())
    }

    async fn settle(&self, number: Number, outcome: Outcome) -> Result<(), Fault> {
        self.0.lock().unwrap().outcomes.insert(number, outcome);
        Ok(())
    }

    async fn undecryptable(&self) -> Result<Vec<Locked>, Fault> {
        Ok(Vec::new())
    }

    async fn locked_event(&self, _event: &EventId) -> Result<Option<String>, Fault> {
        Ok(None)
    }

    async fn postpone(&self, _locked: &Locked) -> Result<(), Fault> {
        Ok(())
    }

    async fn noticed(&self, _room: &RoomId, _session: &str) -> Result<(), Fault> {
        Ok(())
    }

    async fn claims(&self) -> Result<Claims, Fault> {
        Ok(Claims::default())
    }

    async fn keep_claims(&self, _claims: &Claims) -> Result<(), Fault> {
        Ok(())
    }

    async fn sending(&self, _transaction: &str) -> Result<(), Fault> {
        Ok(())
    }

    async fn is_own(&self, _transaction: &str, _at: Stamp) -> Result<bool, Fault> {
        Ok(true)
    }

    async fn begin_fresh(&self) -> Result<(), Fault> {
        Ok(())
    }

    async fn is_passed(&self, _position: &str) -> Result<bool, Fault> {
        Ok(false)
    }

    async fn reseal(&self, _from: &PickleKey) -> Result<(), Fault> {
        Ok(())
    }

    async fn trust_records(&self, _users: &[UserId]) -> Result<Vec<UserRecord>, Fault> {
        Ok(Vec::new())
    }

    async fn trust_ledger(&self) -> Result<Vec<UserRecord>, Fault> {
        Ok(Vec::new())
    }

    async fn keep_trust(&self, _records: &[UserRecord]) -> Result<(), Fault> {
        Ok(())
    }

    async fn invitations(&self) -> Result<Vec<Pending>, Fault> {
        Ok(Vec::new())
    }

    async fn keep_invitations(&self, _pending: &[Pending]) -> Result<(), Fault> {
        Ok(())
    }

    async fn greetings(&self) -> Result<Vec<Greeting>, Fault> {
        Ok(Vec::new())
    }

    async fn keep_greeting(&self, _greeting: &Greeting) -> Result<(), Fault> {
        Ok(())
    }

    async fn was_encrypted(&self, _room: &RoomId) -> Result<bool, Fault> {
        Ok(false)
    }

    async fn outgoing(&self, _key: &str) -> Result<Option<OutgoingRecord>, Fault> {
        Ok(None)
    }

    async fn keep_outgoing(&self, _key: &str, _record: &OutgoingRecord) -> Result<(), Fault> {
        Ok(())
    }
}

/// An agent of this name.
pub(crate) fn spec(name: &str, folder: &std::path::Path) -> AgentSpec {
    AgentSpec {
        id: name.parse().unwrap(),
        enabled: true,
        folder: folder.join(name),
        account: Account {
            network: Network::Matrix,
            homeserver: "http://hs".parse().unwrap(),
            user_id: format!("@{name}:hs"),
            password: None,
            access_token: Some(Secret::new("token".into())),
        },
        encryption: Encryption {
            store_path: folder.join(name).join("data/crypto"),
            pickle_key: Secret::new([1; 32]),
            recovery_key: None,
            trust_mode: TrustMode::Tofu,
        },
        invites: InvitePolicy::default(),
        verification: VerificationPolicy::default(),
        catch_up: CatchUp { max_age: Duration::from_secs(60) },
        undecryptable: UndecryptablePolicy { notice_after: None },
        answer: launcher_core::spec::AnswerPolicy::default(),
        settings: launcher_core::spec::SettingsPolicy::default(),
        rooms: BTreeMap::new(),
        behaviors: vec![BehaviorSpec::Echo {
            prefix: String::new(),
            delay: Duration::ZERO,
            files: false,
        }],
    }
}
