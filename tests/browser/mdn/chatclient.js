// A client that behaves as the one of MDN's "Signaling and video calling" does, step by step and with its faults:
// what it sends and when, what it expects, and what it does not understand (it cannot resolve glare, it forgets the
// target before it hangs up, it knows no message but these). Written afresh from the sample's behaviour.
// Public domain (CC0), as the sample is. Do not mend it: it stands for clients that nobody will mend.

'use strict';

var connection = null;
var clientID = 0;
var myUsername = null;
var targetUsername = null;
var myPeerConnection = null;
var webcamStream = null;
var myHostname = window.location.hostname || 'localhost';
var mediaConstraints = { audio: true, video: { aspectRatio: { ideal: 1.333333 } } };

// Beyond the sample: what a test asks afterwards. Nothing below reads them.
var unknownMessages = [];
var reportedErrors = [];

function log(text) {
  console.log('[' + new Date().toLocaleTimeString() + '] ' + text);
}

function reportError(error) {
  reportedErrors.push(error.name + ': ' + error.message);
  console.trace('Error ' + error.name + ': ' + error.message);
}

// --- Logging in, and chat -------------------------------------------------------------------------------------------

function sendToServer(message) {
  log("Sending '" + message.type + "' message");
  connection.send(JSON.stringify(message));
}

function setUsername() {
  myUsername = document.getElementById('name').value;
  sendToServer({ name: myUsername, date: Date.now(), id: clientID, type: 'username' });
}

function connect() {
  var scheme = document.location.protocol === 'https:' ? 'wss' : 'ws';
  connection = new WebSocket(scheme + '://' + myHostname + ':6503', 'json');

  connection.onopen = function () {
    document.getElementById('text').disabled = false;
    document.getElementById('send').disabled = false;
  };

  connection.onerror = function (event) {
    console.dir(event);
  };

  connection.onmessage = function (event) {
    var chatBox = document.querySelector('.chatbox');
    var text = '';
    var msg = JSON.parse(event.data);
    log('Message received: ' + msg.type);
    var timeStr = new Date(msg.date).toLocaleTimeString();

    switch (msg.type) {
      case 'id':
        clientID = msg.id;
        setUsername();
        break;
      case 'username':
        text = '<b>User <em>' + msg.name + '</em> signed in at ' + timeStr + '</b><br>';
        break;
      case 'message':
        text = '(' + timeStr + ') <b>' + msg.name + '</b>: ' + msg.text + '<br>';
        break;
      case 'rejectusername':
        myUsername = msg.name;
        text = '<b>Your username has been set to <em>' + myUsername + '</em> because the name you chose is in use.</b><br>';
        break;
      case 'userlist':
        handleUserlistMsg(msg);
        break;
      case 'video-offer':
        handleVideoOfferMsg(msg);
        break;
      case 'video-answer':
        handleVideoAnswerMsg(msg);
        break;
      case 'new-ice-candidate':
        handleNewICECandidateMsg(msg);
        break;
      case 'hang-up':
        handleHangUpMsg(msg);
        break;
      default:
        unknownMessages.push(msg);
        console.trace('Unknown message received: ' + msg.type);
    }

    if (text.length) {
      chatBox.innerHTML += text;
      chatBox.scrollTop = chatBox.scrollHeight - chatBox.clientHeight;
    }
  };
}

function handleSendButton() {
  sendToServer({ text: document.getElementById('text').value, type: 'message', id: clientID, date: Date.now() });
  document.getElementById('text').value = '';
}

function handleKey(event) {
  if ((event.keyCode === 13 || event.keyCode === 14) && !document.getElementById('send').disabled) handleSendButton();
}

function handleUserlistMsg(msg) {
  var listElem = document.querySelector('.userlistbox');
  while (listElem.firstChild) listElem.removeChild(listElem.firstChild);
  msg.users.forEach(function (username) {
    var item = document.createElement('li');
    item.appendChild(document.createTextNode(username));
    item.addEventListener('click', invite, false);
    listElem.appendChild(item);
  });
}

// --- The peer connection --------------------------------------------------------------------------------------------

async function createPeerConnection() {
  log('Setting up a connection...');
  myPeerConnection = new RTCPeerConnection({
    iceServers: [{ urls: 'turn:' + myHostname, username: 'webrtc', credential: 'turnserver' }],
  });
  myPeerConnection.onicecandidate = handleICECandidateEvent;
  myPeerConnection.oniceconnectionstatechange = handleICEConnectionStateChangeEvent;
  myPeerConnection.onsignalingstatechange = handleSignalingStateChangeEvent;
  myPeerConnection.onnegotiationneeded = handleNegotiationNeededEvent;
  myPeerConnection.ontrack = handleTrackEvent;
}

async function handleNegotiationNeededEvent() {
  log('*** Negotiation needed');
  try {
    const offer = await myPeerConnection.createOffer();
    // It counts on another event once the state is stable again.
    if (myPeerConnection.signalingState != 'stable') {
      log("     -- The connection isn't stable yet; postponing...");
      return;
    }
    await myPeerConnection.setLocalDescription(offer);
    sendToServer({ name: myUsername, target: targetUsername, type: 'video-offer', sdp: myPeerConnection.localDescription });
  } catch (error) {
    reportError(error);
  }
}

function handleTrackEvent(event) {
  log('*** Track event');
  document.getElementById('received_video').srcObject = event.streams[0];
  document.getElementById('hangup-button').disabled = false;
}

function handleICECandidateEvent(event) {
  if (event.candidate) {
    sendToServer({ type: 'new-ice-candidate', target: targetUsername, candidate: event.candidate });
  }
}

function handleICEConnectionStateChangeEvent() {
  log('*** ICE connection state changed to ' + myPeerConnection.iceConnectionState);
  switch (myPeerConnection.iceConnectionState) {
    case 'closed':
    case 'failed':
    case 'disconnected':
      closeVideoCall();
      break;
  }
}

function handleSignalingStateChangeEvent() {
  log('*** WebRTC signaling state changed to: ' + myPeerConnection.signalingState);
  if (myPeerConnection.signalingState == 'closed') closeVideoCall();
}

// --- Calls ----------------------------------------------------------------------------------------------------------

function closeVideoCall() {
  var localVideo = document.getElementById('local_video');
  log('Closing the call');
  if (myPeerConnection) {
    myPeerConnection.ontrack = null;
    // Two handlers keep their place, as in the sample, which misspells their names.
    myPeerConnection.oniceconnectionstatechange = null;
    myPeerConnection.onsignalingstatechange = null;
    myPeerConnection.getTransceivers().forEach((transceiver) => {
      transceiver.stop();
    });
    if (localVideo.srcObject) {
      localVideo.pause();
      localVideo.srcObject.getTracks().forEach((track) => {
        track.stop();
      });
    }
    myPeerConnection.close();
    myPeerConnection = null;
    webcamStream = null;
  }
  document.getElementById('hangup-button').disabled = true;
  targetUsername = null;
}

function handleHangUpMsg() {
  log('*** Received hang up notification from other peer');
  closeVideoCall();
}

function hangUpCall() {
  closeVideoCall();
  // The target is gone by now.
  sendToServer({ name: myUsername, target: targetUsername, type: 'hang-up' });
}

async function addWebcam() {
  try {
    webcamStream = await navigator.mediaDevices.getUserMedia(mediaConstraints);
  } catch (error) {
    handleGetUserMediaError(error);
    return false;
  }
  document.getElementById('local_video').srcObject = webcamStream;
  try {
    webcamStream.getTracks().forEach((track) => myPeerConnection.addTransceiver(track, { streams: [webcamStream] }));
  } catch (error) {
    handleGetUserMediaError(error);
  }
  return true;
}

async function invite(event) {
  if (myPeerConnection) {
    alert("You can't start a call because you already have one open!");
    return;
  }
  var clickedUsername = event.target.textContent;
  if (clickedUsername === myUsername) {
    alert("I'm afraid I can't let you talk to yourself. That would be weird.");
    return;
  }
  targetUsername = clickedUsername;
  createPeerConnection();
  await addWebcam();
}

async function handleVideoOfferMsg(msg) {
  targetUsername = msg.name;
  if (!myPeerConnection) createPeerConnection();

  var desc = new RTCSessionDescription(msg.sdp);
  if (myPeerConnection.signalingState != 'stable') {
    log("  - But the signaling state isn't stable, so triggering rollback");
    await Promise.all([
      myPeerConnection.setLocalDescription({ type: 'rollback' }),
      myPeerConnection.setRemoteDescription(desc),
    ]);
    // And no answer.
    return;
  }
  await myPeerConnection.setRemoteDescription(desc);

  if (!webcamStream && !(await addWebcam())) return;

  await myPeerConnection.setLocalDescription(await myPeerConnection.createAnswer());
  sendToServer({ name: myUsername, target: targetUsername, type: 'video-answer', sdp: myPeerConnection.localDescription });
}

async function handleVideoAnswerMsg(msg) {
  var desc = new RTCSessionDescription(msg.sdp);
  await myPeerConnection.setRemoteDescription(desc).catch(reportError);
}

async function handleNewICECandidateMsg(msg) {
  var candidate = new RTCIceCandidate(msg.candidate);
  try {
    await myPeerConnection.addIceCandidate(candidate);
  } catch (error) {
    reportError(error);
  }
}

function handleGetUserMediaError(error) {
  reportError(error);
  closeVideoCall();
}
