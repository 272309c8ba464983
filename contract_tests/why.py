"""Why each clause matters, in a sentence or two: what its owner would not see coming.

Owns: the table. Must not know: how it is shown, levels, sources. What AWS prints and how people get
there is not repeated here: the check and its fault tell it. A test compares the ids.
"""

from __future__ import annotations

from collections.abc import Mapping

WHY: Mapping[str, str] = {
    # image
    "image-architecture": "Nothing refuses the image when it is pushed: the endpoint stays Creating"
    " for a long while, and then its log holds one line.",
    "manifest-media-type": "The same image works everywhere else; what decides is the tool that"
    " pushed it, and its defaults have changed.",
    "image-size": "The limit counts the image unpacked; ECR shows it compressed, which is less.",
    "not-cmd-only": "`docker run IMAGE` starts it, and that is how everybody tries it; SageMaker"
    " adds the word `serve`, and Docker then drops CMD.",
    "serve-resolves": "The container never starts, so there is no log to look at.",
    "serve-executable": "The engine's words are those of a missing file, so people look for the"
    " wrong thing; and there is no log.",
    "serve-interpreter": "The file that is reported as missing is there; the one that is missing is"
    " its interpreter, with an invisible character in its name.",
    "entrypoint-architecture": "The image's label says the right architecture, so only the start"
    " shows that the program inside has another one.",
    "exec-form-entrypoint": "A shell as process 1 takes the argument `serve` for itself and does"
    " not pass SIGTERM on, so requests in flight are cut at every stop.",
    # startup
    "serve-argument-accepted": "A program that knows no `serve` ends with its usage text, or starts"
    " something else.",
    "stays-alive": "Exit code 0 is no better than any other: a server that went into the background"
    " ends the container.",
    "listens-on-8080": "From inside the container, and with --network host, everything seems to"
    " work; the platform connects from outside.",
    "real-host-header": "The Host header is neither localhost nor a name that you know, so an allow"
    " list answers 400 to each ping and nothing else.",
    "ping-200": "A redirect, a login or a 404 counts as ill: the model may work and the endpoint"
    " fails all the same.",
    "ready-in-time": "The window includes the download of image and model on AWS, so what only just"
    " starts in time here is late there.",
    "starts-without-network": "In a VPC without a way out, with network isolation, or when the"
    " other side is down, what is downloaded at start makes every new instance fail.",
    # ping
    "ping-in-time": "One slow answer is one failed ping; an instance that fails several of them may"
    " be replaced in the middle of its work.",
    "accepts-in-250ms": "A server whose backlog is full, or that takes one connection at a time,"
    " seems healthy when it is asked once.",
    "ping-while-busy": "A model that takes longer than a ping's timeout makes a server with one"
    " worker look ill exactly when it is used.",
    "ready-means-ready": "Traffic comes with the first 200: behind scale-out and updates these are"
    " real users' requests.",
    # invocations
    "golden-invocation": "InService only says that /ping answered; whether the model does shows"
    " with the first request.",
    "invocation-in-time": "The caller gets an error after 60 seconds while the container goes on"
    " computing, and the caller's next try comes on top.",
    "same-request-three-times": "State that the first request leaves behind, or a fork with a"
    " library's threads in it, shows only with the second.",
    "strict-json": "Python reads NaN, most other clients stop with a parse error.",
    "malformed-body": "A 5xx says that the model is broken, where the request is: alarms go off and"
    " the caller learns nothing; a traceback shows paths and code to whoever asks.",
    # payloads
    "body-sizes": "nginx takes 1 MB by default, other servers have limits of their own, so requests"
    " that AWS lets through fail only for the users with large ones.",
    "response-size": "The work is done, the caller pays for it, and gets an error in its place.",
    # filesystem
    "read-only-model-directory": "A cache or a lock file beside the model works in every local"
    " test, where the directory is the image's own.",
    "starts-without-dac-override": "Root in a container of your own may write everywhere; on"
    " serverless users met root that may not.",
    "starts-as-arbitrary-user": "The user has no name, no home and no right to /root, which"
    " libraries with a cache directory do not expect.",
    "starts-without-shm": "joblib, multiprocessing and gunicorn's --worker-tmp-dir take /dev/shm"
    " for granted.",
    # endpoint
    "any-request-may-come-first": "After scale-in whichever request comes first meets a new"
    " instance, so a hidden order works for days and then fails.",
    "cold-start-within-client-timeout": "SDKs give up after 60 seconds and send the request again,"
    " which is one more cold start.",
    "instances-work-side-by-side": "A burst makes several instances start at once; what they share"
    " outside was never asked by two of them.",
    "no-traces-of-earlier-requests": "An instance serves one caller after another: what it keeps,"
    " the next one may see.",
    "instances-agree": "Callers cannot choose an instance, so the same question has different"
    " answers from one minute to the next, and no log says why.",
    "survives-freeze": "Threads, timers and connections stand still between requests; what they"
    " should have kept alive is gone when the next one comes.",
    # deploy
    "template-is-taken": "What is refused late, in the middle of a stack, is rolled back, and each"
    " try takes minutes.",
    "template-gets-in-service": "The container is sound and the template starts it with other"
    " variables, model or memory than those it was tested with.",
    "template-answers-payload": "InService proves /ping alone; a wrong model answers it as well.",
    "template-can-be-updated": "The first deployment works; the second one, weeks later, is"
    " refused for a name that exists.",
    "template-leaves-nothing": "What stays is found in the bill, or by the next stack that wants"
    " its name.",
    "script-is-taken": "botocore checks few of the rules, so a script that runs without an error up"
    " to there is refused by AWS.",
    "script-gets-in-service": "The container is sound and the script starts it with other"
    " variables, model or memory than those it was tested with.",
    "script-answers-payload": "InService proves /ping alone; a wrong model answers it as well.",
    "script-runs-again": "The first deployment works; the second one, weeks later, is refused for"
    " a name that exists.",
    "script-leaves-nothing": "Configurations and models cost nothing and are never looked at, until"
    " a quota or a name is in the way.",
    # resources, logs, shutdown
    "keeps-running": "Each end is a cold start for the next caller, and an error for the one in"
    " flight.",
    "no-oom": "Often a helper process is killed and the container lives on, so that neither its"
    " exit code nor its health tell of it.",
    "logs-reach-stdout": "On AWS there is no shell to look for a file with: what is not on stdout"
    " or stderr is lost.",
    "killed-worker-recovers": "An instance that answers /ping and no request stays in service: the"
    " platform replaces only what says that it is ill.",
    "in-flight-request-finishes": "Every update and every scale-in stops containers while requests"
    " are open.",
    "stops-on-sigterm": "What does not end by itself is killed: files are left half written, last"
    " log lines are lost.",
}
