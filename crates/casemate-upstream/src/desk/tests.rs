use std::sync::Arc;

use bytes::Bytes;
use casemate_mcp::call::Answer;
use casemate_mcp::frame::{ErrorObject, Frame};
use casemate_mcp::json::{Limits, Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::names::ServerName;
use tokio::sync::mpsc;

use super::{Desk, Reaction, Ticket};
use crate::outlet::Outlet;
use crate::{Event, Fault, ServerNotice};

struct Rig {
    desk: Arc<Desk>,
    outlet: Arc<Outlet>,
    notices: mpsc::Receiver<ServerNotice>,
}

fn rig(offered: &'static str) -> Rig {
    let (sink, notices) = mpsc::channel(8);
    let outlet =
        Arc::new(Outlet::new(ServerName::parse("s").unwrap(), sink, (Arc::default(), mpsc::channel(1).0)));
    let offered = Members::check(Bytes::from_static(offered.as_bytes()), &Limits::default()).unwrap();
    Rig { desk: Desk::new(None, offered, Arc::clone(&outlet)), outlet, notices }
}

impl Rig {
    fn call(&self, method: Method) -> (Ticket, mpsc::Receiver<Event>) {
        let (sender, events) = mpsc::channel(2);
        (self.desk.open(&method, Some(sender)).unwrap(), events)
    }

    fn receive(&self, text: &str) -> Reaction {
        self.receive_from(text, None)
    }

    fn receive_from(&self, text: &str, origin: Option<i64>) -> Reaction {
        let text = text.replace('\'', "\"").replacen('{', "{\"jsonrpc\":\"2.0\",", 1);
        self.desk.receive(Frame::parse(text.into(), &Limits::default()).unwrap(), origin)
    }
}

fn reply(reaction: Reaction) -> String {
    match reaction {
        Reaction::Reply(text) => String::from_utf8(text.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn notice(event: Option<Event>) -> String {
    match event {
        Some(Event::Notice(notice)) => notice.params.unwrap().raw().as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn answers_find_their_request_once() {
    let rig = rig("{}");
    let (mut first, _e1) = rig.call(Method::ToolsCall);
    let (mut second, _e2) = rig.call(Method::ToolsCall);
    assert!(matches!(rig.receive("{'id':2,'result':{'n':2}}"), Reaction::Delivered));
    assert!(matches!(rig.receive("{'id':1,'error':{'code':-1,'message':'no'}}"), Reaction::Delivered));
    assert!(matches!(second.outcome().await, Ok(Answer::Result(raw)) if raw.as_str() == r#"{"n":2}"#));
    assert!(matches!(first.outcome().await, Ok(Answer::Error(error)) if error.code == -1));
    for wrong in ["{'id':2,'result':{}}", "{'id':77,'result':{}}", "{'id':'1','result':{}}"] {
        assert!(matches!(rig.receive(wrong), Reaction::Unasked), "{wrong}");
    }
    assert_eq!(rig.outlet.lines().len(), 3, "{:?}", rig.outlet.lines());
}

#[tokio::test]
async fn a_dropped_ticket_is_forgotten_and_a_closed_desk_ends_all() {
    let rig = rig("{}");
    let (dropped, _e1) = rig.call(Method::ToolsCall);
    drop(dropped);
    assert!(matches!(rig.receive("{'id':1,'result':{}}"), Reaction::Unasked));
    let (mut waiting, _e2) = rig.call(Method::ToolsCall);
    rig.desk.close(&Fault::Gone { sent: true, why: "exit code 1".to_owned() });
    let gone = |sent| Fault::Gone { sent, why: "exit code 1".into() };
    assert_eq!(waiting.outcome().await.unwrap_err(), gone(true));
    assert_eq!(rig.desk.open(&Method::Ping, None).unwrap_err(), gone(false));
}

#[tokio::test]
async fn progress_goes_by_token_and_log_messages_to_the_only_call() {
    let rig = rig("{}");
    let (_first, mut events) = rig.call(Method::ToolsCall);
    let (_list, mut list_events) = rig.call(Method::ToolsList);
    let _own = rig.desk.open(&Method::LoggingSetLevel, None).unwrap();
    rig.receive("{'method':'notifications/progress','params':{'progressToken':2,'progress':1}}");
    assert_eq!(notice(list_events.recv().await), r#"{"progressToken":2,"progress":1}"#);
    rig.receive("{'method':'notifications/message','params':{'level':'info','data':1}}");
    assert_eq!(notice(events.recv().await), r#"{"level":"info","data":1}"#);

    let (_second, mut second_events) = rig.call(Method::ToolsCall);
    rig.receive("{'method':'notifications/message','params':{'level':'info','data':2}}");
    rig.receive_from("{'method':'notifications/message','params':{'level':'info','data':3}}", Some(4));
    assert_eq!(notice(second_events.recv().await), r#"{"level":"info","data":3}"#);
    assert!(events.try_recv().is_err(), "two calls: it could belong to either");
    assert_eq!(rig.outlet.lines(), [r#"message: {"level":"info","data":2}"#]);
}

#[tokio::test]
async fn a_full_queue_costs_reports_and_never_the_reader() {
    let rig = rig("{'elicitation':{}}".replace('\'', "\"").leak());
    let (_call, _events) = rig.call(Method::ToolsCall);
    for _ in 0..5 {
        rig.receive("{'method':'notifications/progress','params':{'progressToken':1}}");
    }
    assert_eq!(rig.outlet.dropped(), 3);
    let refused = reply(rig.receive("{'id':9,'method':'elicitation/create','params':{}}"));
    assert!(refused.contains("does not take questions"), "{refused}");
}

#[tokio::test]
async fn questions_reach_the_one_call_in_flight_and_answers_go_back() {
    let rig = rig(r#"{"elicitation":{}}"#);
    let nobody = reply(rig.receive("{'id':'q0','method':'elicitation/create','params':{}}"));
    assert!(nobody.contains("none of the calls"), "{nobody}");
    let (_call, mut events) = rig.call(Method::ToolsCall);
    let (_list, _e) = rig.call(Method::ToolsList);

    let Reaction::Ask(asked) = rig.receive("{'id':'q1','method':'elicitation/create','params':{'a':1}}")
    else {
        panic!("not asked")
    };
    let Some(Event::Question { answer, .. }) = events.recv().await else { panic!("no question") };
    answer.send(Ok(Raw::EMPTY_OBJECT)).unwrap();
    assert_eq!(asked.reply().await.unwrap(), r#"{"jsonrpc":"2.0","id":"q1","result":{}}"#);

    let Reaction::Ask(asked) = rig.receive("{'id':2,'method':'elicitation/create'}") else {
        panic!("not asked")
    };
    drop(events.recv().await);
    let text = String::from_utf8(asked.reply().await.unwrap().to_vec()).unwrap();
    assert!(text.contains("nobody answered"), "{text}");

    let not_offered = reply(rig.receive("{'id':4,'method':'sampling/createMessage'}"));
    assert!(not_offered.contains("-32601"), "{not_offered}");
}

#[tokio::test]
async fn a_question_of_one_of_several_calls_waits_until_it_is_certain_whose_it_is() {
    let rig = rig(r#"{"elicitation":{}}"#);
    let (_first, mut first_events) = rig.call(Method::ToolsCall);
    let (_second, mut second_events) = rig.call(Method::ToolsCall);
    let Reaction::Ask(asked) = rig.receive("{'id':'q','method':'elicitation/create'}") else {
        panic!("not asked")
    };
    assert!(first_events.try_recv().is_err() && second_events.try_recv().is_err(), "it could be either's");
    rig.receive("{'id':1,'result':{}}");
    let Some(Event::Question { answer, .. }) = second_events.recv().await else { panic!("no question") };
    answer.send(Ok(Raw::EMPTY_OBJECT)).unwrap();
    assert!(asked.reply().await.unwrap().starts_with(br#"{"jsonrpc":"2.0","id":"q","result":{}"#));
}

#[tokio::test]
async fn a_question_is_nobodys_when_the_call_that_asked_may_have_been_given_up() {
    let rig = rig(r#"{"elicitation":{}}"#);
    let (first, _events) = rig.call(Method::ToolsCall);
    let (_second, mut second_events) = rig.call(Method::ToolsCall);
    let Reaction::Ask(asked) = rig.receive("{'id':'q','method':'elicitation/create'}") else {
        panic!("not asked")
    };
    drop(first);
    let refused = String::from_utf8(asked.reply().await.unwrap().to_vec()).unwrap();
    assert!(refused.contains("nobody answered"), "{refused}");
    assert!(second_events.try_recv().is_err());
}

#[tokio::test]
async fn a_server_can_withdraw_its_question() {
    let rig = rig(r#"{"roots":{}}"#);
    let (_call, mut events) = rig.call(Method::ToolsCall);
    let Reaction::Ask(asked) = rig.receive("{'id':5,'method':'roots/list'}") else { panic!("not asked") };
    let Some(Event::Question { mut answer, .. }) = events.recv().await else { panic!("no question") };
    rig.receive("{'method':'notifications/cancelled','params':{'requestId':5}}");
    assert_eq!(asked.reply().await, None);
    answer.closed().await;
    assert!(answer.send(Err(ErrorObject::new(0, ""))).is_err());
}

#[tokio::test]
async fn pings_are_answered_and_unknown_requests_refused() {
    let rig = rig("{}");
    assert_eq!(reply(rig.receive("{'id':1,'method':'ping'}")), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    assert!(reply(rig.receive("{'id':1,'method':'x/y'}")).contains("-32601"));
}

#[tokio::test]
async fn list_changes_go_to_the_gateway_and_equal_ones_count_once() {
    let mut rig = rig("{}");
    for _ in 0..1000 {
        rig.receive("{'method':'notifications/tools/list_changed'}");
    }
    rig.receive("{'method':'notifications/resources/updated','params':{'uri':'a:b'}}");
    let stop = tokio_util::sync::CancellationToken::new();
    let read = async {
        let mut methods = Vec::new();
        for _ in 0..2 {
            methods.push(rig.notices.recv().await.unwrap().notice.method);
        }
        methods
    };
    let methods = tokio::select! { methods = read => methods, () = rig.outlet.run(&stop) => unreachable!() };
    assert_eq!(methods, [Method::ToolsChanged, Method::ResourceUpdated]);
    assert!(rig.notices.try_recv().is_err());
}

#[tokio::test]
async fn what_a_subscription_brings_goes_to_its_listener() {
    let rig = rig("{}");
    let (_listen, mut events) = rig.call(Method::Listen);
    let meta = |id: i64| format!("'_meta':{{'io.modelcontextprotocol/subscriptionId':{id}}}");
    rig.receive(&format!("{{'method':'notifications/tools/list_changed','params':{{{}}}}}", meta(1)));
    assert!(notice(events.recv().await).contains("subscriptionId"));
    rig.receive(&format!("{{'method':'notifications/tools/list_changed','params':{{{}}}}}", meta(9)));
    rig.receive_from("{'method':'notifications/prompts/list_changed'}", Some(1));
    assert!(matches!(events.recv().await, Some(Event::Notice(n)) if n.method == Method::PromptsChanged));
    assert!(events.try_recv().is_err());
    let mut rig = rig;
    assert!(rig.notices.try_recv().is_err());
}

#[tokio::test]
async fn a_question_of_a_task_goes_to_whoever_waits_for_that_task() {
    let rig = rig(r#"{"elicitation":{}}"#);
    let (_call, mut calls) = rig.call(Method::ToolsCall);
    let wait = |id: &'static str| {
        let params = Members::check(format!(r#"{{"taskId":"{id}"}}"#).into(), &Limits::default()).unwrap();
        let meta = casemate_mcp::call::Meta {
            revision: casemate_mcp::revision::Revision::LATEST_LEGACY,
            progress: None,
            capabilities: Members::empty(),
            client_info: None,
            log_level: None,
        };
        let (sender, events) = mpsc::channel(2);
        let call = casemate_mcp::call::Call { method: Method::TasksResult, params, meta };
        (rig.desk.open_call(&call, sender).unwrap(), events)
    };
    let ((_one, mut ones), (_two, mut twos)) = (wait("one"), wait("two"));
    let ask = |id: u8, task: &str| {
        let meta = format!("{{'io.modelcontextprotocol/related-task':{{'taskId':'{task}'}}}}");
        rig.receive(&format!("{{'id':{id},'method':'elicitation/create','params':{{'_meta':{meta}}}}}"))
    };
    let asked = ask(1, "two");
    assert!(matches!(asked, Reaction::Ask(_)), "{asked:?}");
    assert!(matches!(twos.recv().await, Some(Event::Question { .. })));
    assert!(reply(ask(2, "three")).contains("nobody waits for the task"));
    assert!(ones.try_recv().is_err() && calls.try_recv().is_err(), "nobody else is asked");
    assert!(!rig.outlet.is_asking(), "nobody has to wait for anybody");
}

#[tokio::test]
async fn a_question_or_report_without_end_is_not_kept_for_a_client() {
    let rig = rig("{\"elicitation\":{}}");
    let (_call, mut events) = rig.call(Method::ToolsCall);
    let endless = "x".repeat(5 << 20);
    let refused =
        reply(rig.receive(&format!(
            "{{'id':'q','method':'elicitation/create','params':{{'message':'{endless}'}}}}"
        )));
    assert!(refused.contains("at most 4194304 bytes"), "{}", refused.len());
    rig.receive(&format!(
        "{{'method':'notifications/progress','params':{{'progressToken':1,'message':'{endless}'}}}}"
    ));
    assert!(events.try_recv().is_err());
    // A question that is kept holds nothing else of the message that it came in.
    let padded = format!(
        "{{'id':'q','method':'elicitation/create','params':{{'message':'hi'}},'padding':'{endless}'}}"
    );
    let Reaction::Ask(_asked) = rig.receive(&padded) else { panic!("not asked") };
    let Some(Event::Question { params, .. }) = events.recv().await else { panic!("no question") };
    assert_eq!(params.unwrap().raw().as_str(), r#"{"message":"hi"}"#);
}
