BEGIN TRANSACTION;
CREATE TABLE ablations (run VARCHAR(40) NOT NULL, number INTEGER NOT NULL, at DOUBLE NOT NULL, profile TEXT NOT NULL, best_trial INTEGER NOT NULL, best_knobs JSON NOT NULL, default_knobs JSON NOT NULL, about JSON NOT NULL, windows JSON NOT NULL, PRIMARY KEY (run, number), FOREIGN KEY(run) REFERENCES runs (id));
INSERT INTO "ablations" VALUES('20261121-020000-def',1,1795222860.5,'fanout',2,'{"max_inflight_messages":2000,"max_inflight_bytes":0,"max_queued_messages":1000,"max_queued_bytes":0,"queue_qos0_messages":false,"memory_limit":0,"persistence":false,"autosave_interval":1800,"set_tcp_nodelay":true,"max_packet_size":268435455,"message_size_limit":0}','{"max_inflight_messages":20,"max_inflight_bytes":0,"max_queued_messages":1000,"max_queued_bytes":0,"queue_qos0_messages":false,"memory_limit":0,"persistence":false,"autosave_interval":1800,"set_tcp_nodelay":false,"max_packet_size":268435455,"message_size_limit":0}','{"left_out":{"max_inflight_messages":"breaks the SLO without it"},"broke":["max_inflight_messages"],"dropped":[]}','[{"turn":1,"of":"best","seconds":1.0,"sent":500,"expected":50000,"received":49000,"on_time":48000,"late":1000,"lost":10,"missing":20,"duplicated":1,"p50_ms":0.5,"p90_ms":1.0,"p95_ms":1.5,"p99_ms":9.5,"max_ms":40.0,"histogram":[[0.5,25000],[50.0,24000]],"on_time_slices":[12000,12100,11900,12000],"slice_s":0.25,"clients":101,"reconnects":0,"generator_cpu":0.4,"parts":[],"live":null,"p99_low_ms":null,"p99_high_ms":null,"on_time_per_s":48000.0,"received_per_s":49000.0,"sent_per_s":500.0,"on_time_stderr":163.29931618554522},{"turn":1,"of":"set_tcp_nodelay","seconds":1.0,"sent":500,"expected":50000,"received":24000,"on_time":24000,"late":1000,"lost":10,"missing":20,"duplicated":1,"p50_ms":0.5,"p90_ms":1.0,"p95_ms":1.5,"p99_ms":41.0,"max_ms":40.0,"histogram":[[0.5,25000],[50.0,24000]],"on_time_slices":[12000,12100,11900,12000],"slice_s":0.25,"clients":101,"reconnects":0,"generator_cpu":0.4,"parts":[],"live":null,"p99_low_ms":null,"p99_high_ms":null,"on_time_per_s":24000.0,"received_per_s":24000.0,"sent_per_s":500.0,"on_time_stderr":163.29931618554522},{"turn":2,"of":"set_tcp_nodelay","seconds":1.0,"sent":500,"expected":50000,"received":25000,"on_time":25000,"late":1000,"lost":10,"missing":20,"duplicated":1,"p50_ms":0.5,"p90_ms":1.0,"p95_ms":1.5,"p99_ms":42.0,"max_ms":40.0,"histogram":[[0.5,25000],[50.0,24000]],"on_time_slices":[12000,12100,11900,12000],"slice_s":0.25,"clients":101,"reconnects":0,"generator_cpu":0.4,"parts":[],"live":null,"p99_low_ms":null,"p99_high_ms":null,"on_time_per_s":25000.0,"received_per_s":25000.0,"sent_per_s":500.0,"on_time_stderr":163.29931618554522},{"turn":2,"of":"best","seconds":1.0,"sent":500,"expected":50000,"received":49000,"on_time":48500,"late":1000,"lost":10,"missing":20,"duplicated":1,"p50_ms":0.5,"p90_ms":1.0,"p95_ms":1.5,"p99_ms":9.5,"max_ms":40.0,"histogram":[[0.5,25000],[50.0,24000]],"on_time_slices":[12000,12100,11900,12000],"slice_s":0.25,"clients":101,"reconnects":0,"generator_cpu":0.4,"parts":[],"live":null,"p99_low_ms":null,"p99_high_ms":null,"on_time_per_s":48500.0,"received_per_s":49000.0,"sent_per_s":500.0,"on_time_stderr":163.29931618554522}]');
CREATE TABLE confirmations (
	run VARCHAR(40) NOT NULL, 
	number INTEGER NOT NULL, 
	at DOUBLE NOT NULL, 
	profile TEXT NOT NULL, 
	default_measured JSON NOT NULL, 
	best_measured JSON NOT NULL, 
	best_knobs JSON NOT NULL, 
	best_trial INTEGER NOT NULL, 
	ratio JSON NOT NULL, 
	better BOOLEAN NOT NULL, 
	PRIMARY KEY (run, number), 
	FOREIGN KEY(run) REFERENCES runs (id)
);
INSERT INTO "confirmations" VALUES('20261121-010000-abc',1,1795222900.0,'fanout','{"on_time_per_s":0.0,"low":0.0,"high":0.0,"received_per_s":28000.0,"on_time_share":0.0,"p99_ms":"NaN","windows":5,"in_percent":false}','{"on_time_per_s":49900.0,"low":49800.0,"high":50000.0,"received_per_s":50000.0,"on_time_share":0.998,"p99_ms":1.5,"windows":5,"in_percent":false}','{"max_inflight_messages":2000,"max_inflight_bytes":0,"max_queued_messages":1000,"max_queued_bytes":0,"queue_qos0_messages":false,"memory_limit":0,"persistence":false,"autosave_interval":1800,"set_tcp_nodelay":true,"max_packet_size":268435455,"message_size_limit":0}',2,'["Infinity","Infinity"]',1);
CREATE TABLE confirming_windows (
	run VARCHAR(40) NOT NULL, 
	confirmation INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	which VARCHAR(10) NOT NULL, 
	measured JSON NOT NULL, 
	PRIMARY KEY (run, confirmation, number), 
	FOREIGN KEY(run, confirmation) REFERENCES confirmations (run, number)
);
INSERT INTO "confirming_windows" VALUES('20261121-010000-abc',1,1,'default','{"seconds":1.0,"sent":500,"expected":50000,"received":49000,"on_time":0,"late":1000,"lost":10,"missing":20,"duplicated":1,"p50_ms":0.5,"p90_ms":1.0,"p95_ms":1.5,"p99_ms":9.5,"max_ms":40.0,"histogram":[[0.5,25000],[50.0,24000]],"on_time_slices":[12000,12100,11900,12000],"slice_s":0.25,"clients":101,"reconnects":0,"generator_cpu":0.4,"parts":[],"live":null,"on_time_per_s":0.0,"received_per_s":49000.0,"sent_per_s":500.0,"on_time_stderr":163.29931618554522}');
INSERT INTO "confirming_windows" VALUES('20261121-010000-abc',1,2,'best','{"seconds":1.0,"sent":500,"expected":50000,"received":49000,"on_time":48000,"late":1000,"lost":10,"missing":20,"duplicated":1,"p50_ms":0.5,"p90_ms":1.0,"p95_ms":1.5,"p99_ms":9.5,"max_ms":40.0,"histogram":[[0.5,25000],[50.0,24000]],"on_time_slices":[12000,12100,11900,12000],"slice_s":0.25,"clients":101,"reconnects":0,"generator_cpu":0.4,"parts":[],"live":null,"on_time_per_s":48000.0,"received_per_s":49000.0,"sent_per_s":500.0,"on_time_stderr":163.29931618554522}');
CREATE TABLE insights (run VARCHAR(40) NOT NULL, number INTEGER NOT NULL, at DOUBLE NOT NULL, trials INTEGER NOT NULL, loads JSON NOT NULL, PRIMARY KEY (run, number), FOREIGN KEY(run) REFERENCES runs (id));
INSERT INTO "insights" VALUES('20261121-020000-def',1,1795222861.5,1,'[{"profile":"fanout","verdict":"explained","why":"","trials":40,"settings":36,"in_percent":false,"noise":250.0,"explained":0.93,"tolerance":1000.0,"best_trial":2,"best_knobs":{"max_inflight_messages":2000,"max_inflight_bytes":0,"max_queued_messages":1000,"max_queued_bytes":0,"queue_qos0_messages":false,"memory_limit":0,"persistence":false,"autosave_interval":1800,"set_tcp_nodelay":true,"max_packet_size":268435455,"message_size_limit":0},"best":{"mean":49900.0,"low":49000.0,"high":50100.0},"default":{"mean":2400.0,"low":1900.0,"high":2900.0},"knobs":[{"knob":"set_tcp_nodelay","status":"matters","why":"","default":false,"best":true,"total":{"mean":0.62,"low":0.48,"high":0.75},"first":{"mean":0.55,"low":0.4,"high":0.7},"default_costs":{"mean":22400.0,"low":21000.0,"high":23800.0},"is_measured":false,"default_p99_ms":null,"as_good_from":true,"as_good_to":true,"open_below":false,"open_above":false,"curve":[{"value":false,"expected":27500.0,"low":26000.0,"high":29000.0},{"value":true,"expected":49900.0,"low":49000.0,"high":50100.0}]},{"knob":"max_inflight_messages","status":"matters","why":"","default":20,"best":2000,"total":{"mean":0.41,"low":0.3,"high":0.5},"first":{"mean":0.3,"low":0.2,"high":0.4},"default_costs":{"mean":30000.0,"low":-500.0,"high":48000.0},"is_measured":false,"default_p99_ms":null,"as_good_from":200,"as_good_to":0,"open_below":false,"open_above":true,"curve":[{"value":20,"expected":19900.0,"low":2000.0,"high":50000.0},{"value":2000,"expected":49900.0,"low":49000.0,"high":50100.0}]},{"knob":"max_queued_messages","status":"no sign","why":"","default":1000,"best":1000,"total":{"mean":0.0,"low":0.0,"high":0.02},"first":{"mean":0.0,"low":0.0,"high":0.01},"default_costs":null,"is_measured":false,"default_p99_ms":null,"as_good_from":null,"as_good_to":null,"open_below":false,"open_above":false,"curve":[]},{"knob":"memory_limit","status":"unclear","why":"","default":0,"best":0,"total":{"mean":0.08,"low":0.0,"high":0.3},"first":{"mean":0.02,"low":0.0,"high":0.1},"default_costs":null,"is_measured":false,"default_p99_ms":null,"as_good_from":null,"as_good_to":null,"open_below":false,"open_above":false,"curve":[]},{"knob":"autosave_interval","status":"inert","why":"persistence was always off","default":1800,"best":1800,"total":null,"first":null,"default_costs":null,"is_measured":false,"default_p99_ms":null,"as_good_from":null,"as_good_to":null,"open_below":false,"open_above":false,"curve":[]},{"knob":"persistence","status":"pinned","why":"pinned at false","default":false,"best":false,"total":null,"first":null,"default_costs":null,"is_measured":false,"default_p99_ms":null,"as_good_from":null,"as_good_to":null,"open_below":false,"open_above":false,"curve":[]}],"ablation":null,"sentences":["set_tcp_nodelay true earns +22.4k/s [21.0k/s, 23.8k/s]; max_inflight_messages matters: 20 costs 30.0k/s against 2,000 (from 200 up is as good).","max_queued_messages does not show; memory_limit is not clear yet."]},{"profile":"pipeline","verdict":"not enough","why":"not enough trials to tell: 4 different settings were measured","trials":5,"settings":4,"in_percent":false,"noise":3000.0,"explained":null,"tolerance":4000.0,"best_trial":null,"best_knobs":{},"best":null,"default":null,"knobs":[],"ablation":null,"sentences":["not enough trials to tell: 4 different settings were measured"]}]');
CREATE TABLE runs (
	id VARCHAR(40) NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	reason TEXT NOT NULL, 
	preset VARCHAR(40) NOT NULL, 
	workload TEXT NOT NULL, 
	profile JSON NOT NULL, 
	phases JSON NOT NULL, 
	seed BIGINT NOT NULL, 
	config JSON NOT NULL, 
	versions JSON NOT NULL, 
	started_at DOUBLE NOT NULL, 
	ended_at DOUBLE, 
	owner JSON NOT NULL, 
	broker JSON, 
	load JSON, 
	mode VARCHAR(20) DEFAULT 'guarded' NOT NULL, 
	resumed INTEGER DEFAULT '0' NOT NULL, 
	broker_kind VARCHAR(40) NOT NULL, 
	mosquitto_path TEXT NOT NULL, 
	mosquitto_version JSON NOT NULL, 
	pinned JSON NOT NULL, 
	broker_restarts INTEGER NOT NULL, 
	workload_restarts INTEGER NOT NULL, 
	seconds DOUBLE, 
	default_measured JSON, 
	best_measured JSON, 
	best_knobs JSON, 
	best_trial INTEGER, 
	ratio JSON, 
	better BOOLEAN, 
	left_in_force VARCHAR(20), 
	conf_path TEXT, 
	PRIMARY KEY (id)
);
INSERT INTO "runs" VALUES('20261121-010000-abc','completed','all trials are done','slo','fanout','{"name":"fanout","publishers":1,"subscribers":100,"topics":1,"qos":1,"payload_bytes":64,"rate":500.0,"window":200,"client_rtt_ms":0.0,"clean_session":true,"offline_subscribers":0,"protocol":4,"burst":[0.2,0.8],"slo_ms":10.0,"connects":0.0}','[]',7,'{"tuning":{"preset":"slo"}}','{"brokertuner-tui":"0.1.0"}',1795222800.5,1795222910.0,'{"pid":4241,"created_at":1795222800.0,"boot_id":"0dc2ff5f-2e31-4f7e-9c6d-0123456789ab","host":""}','{"pid":4242,"created_at":1795222801.0,"host":"127.0.0.1","port":1883,"place":"runs/20261121-010000-abc/broker","ours":true}','{"pid":4300,"created_at":1795222802.0}','guarded',0,'managed','/usr/sbin/mosquitto','[2,0,21]','{"persistence":false}',3,1,109.5,'{"on_time_per_s":0.0,"low":0.0,"high":0.0,"received_per_s":28000.0,"on_time_share":0.0,"p99_ms":"NaN","windows":5,"in_percent":false}','{"on_time_per_s":49900.0,"low":49800.0,"high":50000.0,"received_per_s":50000.0,"on_time_share":0.998,"p99_ms":1.5,"windows":5,"in_percent":false}','{"max_inflight_messages":2000,"max_inflight_bytes":0,"max_queued_messages":1000,"max_queued_bytes":0,"queue_qos0_messages":false,"memory_limit":0,"persistence":false,"autosave_interval":1800,"set_tcp_nodelay":true,"max_packet_size":268435455,"message_size_limit":0}',2,'["Infinity","Infinity"]',1,'best','/data/broker_tuner.conf');
INSERT INTO "runs" VALUES('20261121-020000-def','interrupted','the process that ran it is gone','slo','fanout','{"name":"fanout","publishers":1,"subscribers":100,"topics":1,"qos":1,"payload_bytes":64,"rate":500.0,"window":200,"client_rtt_ms":0.0,"clean_session":true,"offline_subscribers":0,"protocol":4,"burst":[0.2,0.8],"slo_ms":10.0,"connects":0.0}','[]',7,'{"tuning":{"preset":"slo"}}','{"brokertuner-tui":"0.1.0"}',1795226400.5,NULL,'{"pid":4241,"created_at":1795222800.0,"boot_id":"0dc2ff5f-2e31-4f7e-9c6d-0123456789ab","host":""}','{"pid":4242,"created_at":1795226400.0,"host":"127.0.0.1","port":1883,"place":"runs/20261121-020000-def/broker","ours":true}','{"pid":4300,"created_at":1795226401.0}','recommend',1,'managed','/usr/sbin/mosquitto','[2,0,21]','{"persistence":false}',0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE schema_version (
	application VARCHAR(40) NOT NULL, 
	version INTEGER NOT NULL, 
	PRIMARY KEY (application)
);
INSERT INTO "schema_version" VALUES('brokertuner-tui',4);
CREATE TABLE trials (
	run VARCHAR(40) NOT NULL, 
	number INTEGER NOT NULL, 
	at DOUBLE NOT NULL, 
	kind VARCHAR(20) NOT NULL, 
	verdict VARCHAR(20) NOT NULL, 
	reason TEXT NOT NULL, 
	knobs JSON NOT NULL, 
	changed JSON NOT NULL, 
	action JSON NOT NULL, 
	pinned JSON, 
	observation JSON NOT NULL, 
	next_observation JSON NOT NULL, 
	reward DOUBLE, 
	reward_terms JSON NOT NULL, 
	profile JSON NOT NULL, 
	version JSON NOT NULL, 
	measured JSON, 
	applied JSON, 
	usage JSON NOT NULL, 
	sample JSON, 
	timings JSON NOT NULL, 
	pid INTEGER, 
	broker_restarts INTEGER NOT NULL, 
	workload_restarts INTEGER NOT NULL, 
	agent JSON NOT NULL, 
	is_best BOOLEAN NOT NULL, 
	best_trial INTEGER, 
	PRIMARY KEY (run, number), 
	FOREIGN KEY(run) REFERENCES runs (id)
);
INSERT INTO "trials" VALUES('20261121-010000-abc',1,1795222801.5,'agent','ok','','{"max_inflight_messages":2000,"max_inflight_bytes":0,"max_queued_messages":1000,"max_queued_bytes":0,"queue_qos0_messages":false,"memory_limit":0,"persistence":false,"autosave_interval":1800,"set_tcp_nodelay":true,"max_packet_size":268435455,"message_size_limit":0}','["max_inflight_messages","set_tcp_nodelay"]','[0.23365242937195485,0.9,-0.22857142857142865,0.9,-1.0,0.9,-1.0,0.013470071949247764,1.0,0.9,0.9]','{"persistence":false}','[0.1,0.2,"NaN"]','[0.3,0.4,0.5]',0.75,'{"goodput":0.8,"cpu":-0.05}','{"name":"fanout","publishers":1,"subscribers":100,"topics":1,"qos":1,"payload_bytes":64,"rate":500.0,"window":200,"client_rtt_ms":0.0,"clean_session":true,"offline_subscribers":0,"protocol":4,"burst":[0.2,0.8],"slo_ms":10.0,"connects":0.0,"parts":[]}','[2,0,21]','{"seconds":1.0,"sent":500,"expected":50000,"received":49000,"on_time":48000,"late":1000,"lost":10,"missing":20,"duplicated":1,"p50_ms":0.5,"p90_ms":1.0,"p95_ms":1.5,"p99_ms":9.5,"max_ms":40.0,"histogram":[[0.5,25000],[50.0,24000]],"on_time_slices":[12000,12100,11900,12000],"slice_s":0.25,"clients":101,"reconnects":0,"generator_cpu":0.4,"parts":[],"live":null,"on_time_per_s":48000.0,"received_per_s":49000.0,"sent_per_s":500.0,"on_time_stderr":163.29931618554522}','{"how":"restart","knobs":{"max_inflight_messages":2000,"max_inflight_bytes":0,"max_queued_messages":1000,"max_queued_bytes":0,"queue_qos0_messages":false,"memory_limit":0,"persistence":false,"autosave_interval":1800,"set_tcp_nodelay":true,"max_packet_size":268435455,"message_size_limit":0},"changed":["max_inflight_messages","set_tcp_nodelay"],"pid":4242,"old_pid":4241,"write_s":0.002,"stop_s":0.001,"start_s":0.004,"verify_s":0.001,"total_s":0.008,"checks":["process","CONNACK"]}','{"cpu_percent":40.0,"rss_bytes":5000000,"ctx_switches_per_s":900.0}','{"at_s":12.0,"wall_s":1795222801.0,"broker":{"state":"listening","host":"127.0.0.1","port":1883,"pid":4242,"started_at":1.0,"version":[2,0,21],"restarts":1,"knobs":{"max_inflight_messages":2000,"max_inflight_bytes":0,"max_queued_messages":1000,"max_queued_bytes":0,"queue_qos0_messages":false,"memory_limit":0,"persistence":false,"autosave_interval":1800,"set_tcp_nodelay":true,"max_packet_size":268435455,"message_size_limit":0},"last_applied":{"how":"restart","knobs":{"max_inflight_messages":2000,"max_inflight_bytes":0,"max_queued_messages":1000,"max_queued_bytes":0,"queue_qos0_messages":false,"memory_limit":0,"persistence":false,"autosave_interval":1800,"set_tcp_nodelay":true,"max_packet_size":268435455,"message_size_limit":0},"changed":["max_inflight_messages","set_tcp_nodelay"],"pid":4242,"old_pid":4241,"write_s":0.002,"stop_s":0.001,"start_s":0.004,"verify_s":0.001,"total_s":0.008,"checks":["process","CONNACK"]},"error":"","outside":false,"drift":[]},"load":{"state":"running","pid":4300,"profile":{"name":"fanout","publishers":1,"subscribers":100,"topics":1,"qos":1,"payload_bytes":64,"rate":500.0,"window":200,"client_rtt_ms":0.0,"clean_session":true,"offline_subscribers":0,"protocol":4,"burst":[0.2,0.8],"slo_ms":10.0,"connects":0.0,"parts":[]},"connected":101,"wanted":101,"reconnects":0,"sent_total":500,"received_total":49000,"on_time_total":48000,"generator_cpu":0.4,"error":"","latency_ms":null,"outside":false},"sys":{"clients_connected":0,"received_per_s":0.0,"sent_per_s":0.0,"dropped_per_s":0.0,"heap_bytes":0,"uptime_s":0,"version":"","age_s":"Infinity","stale":true,"reason":""},"process":{"pid":4242,"cpu_percent":40.0,"rss_bytes":5000000,"ctx_switches_per_s":900.0,"cpu_s":0.0,"switches":0},"sent_per_s":500.0,"received_per_s":49000.0,"on_time_per_s":48000.0,"connection":null,"connections":{}}','{"propose_s":0.01,"apply_s":0.02,"reconnect_s":0.03,"settle_s":0.25,"measure_s":1.0,"learn_s":0.04,"record_s":0.005}',4242,3,1,'{"source":"actor","noise":0.3,"critic_loss":0.01,"actor_loss":null,"buffer":12,"updates":40,"why":"goes by the actor"}',1,1);
INSERT INTO "trials" VALUES('20261121-020000-def',1,1795222801.5,'agent','ok','','{"max_inflight_messages":2000,"max_inflight_bytes":0,"max_queued_messages":1000,"max_queued_bytes":0,"queue_qos0_messages":false,"memory_limit":0,"persistence":false,"autosave_interval":1800,"set_tcp_nodelay":true,"max_packet_size":268435455,"message_size_limit":0}','["max_inflight_messages","set_tcp_nodelay"]','[0.23365242937195485,0.9,-0.22857142857142865,0.9,-1.0,0.9,-1.0,0.013470071949247764,1.0,0.9,0.9]','{"persistence":false}','[0.1,0.2,"NaN"]','[0.3,0.4,0.5]',0.75,'{"goodput":0.8,"cpu":-0.05}','{"name":"fanout","publishers":1,"subscribers":100,"topics":1,"qos":1,"payload_bytes":64,"rate":500.0,"window":200,"client_rtt_ms":0.0,"clean_session":true,"offline_subscribers":0,"protocol":4,"burst":[0.2,0.8],"slo_ms":10.0,"connects":0.0,"parts":[]}','[2,0,21]','{"seconds":1.0,"sent":500,"expected":50000,"received":49000,"on_time":48000,"late":1000,"lost":10,"missing":20,"duplicated":1,"p50_ms":0.5,"p90_ms":1.0,"p95_ms":1.5,"p99_ms":9.5,"max_ms":40.0,"histogram":[[0.5,25000],[50.0,24000]],"on_time_slices":[12000,12100,11900,12000],"slice_s":0.25,"clients":101,"reconnects":0,"generator_cpu":0.4,"parts":[],"live":null,"on_time_per_s":48000.0,"received_per_s":49000.0,"sent_per_s":500.0,"on_time_stderr":163.29931618554522}','{"how":"restart","knobs":{"max_inflight_messages":2000,"max_inflight_bytes":0,"max_queued_messages":1000,"max_queued_bytes":0,"queue_qos0_messages":false,"memory_limit":0,"persistence":false,"autosave_interval":1800,"set_tcp_nodelay":true,"max_packet_size":268435455,"message_size_limit":0},"changed":["max_inflight_messages","set_tcp_nodelay"],"pid":4242,"old_pid":4241,"write_s":0.002,"stop_s":0.001,"start_s":0.004,"verify_s":0.001,"total_s":0.008,"checks":["process","CONNACK"]}','{"cpu_percent":40.0,"rss_bytes":5000000,"ctx_switches_per_s":900.0}','{"at_s":12.0,"wall_s":1795222801.0,"broker":{"state":"listening","host":"127.0.0.1","port":1883,"pid":4242,"started_at":1.0,"version":[2,0,21],"restarts":1,"knobs":{"max_inflight_messages":2000,"max_inflight_bytes":0,"max_queued_messages":1000,"max_queued_bytes":0,"queue_qos0_messages":false,"memory_limit":0,"persistence":false,"autosave_interval":1800,"set_tcp_nodelay":true,"max_packet_size":268435455,"message_size_limit":0},"last_applied":{"how":"restart","knobs":{"max_inflight_messages":2000,"max_inflight_bytes":0,"max_queued_messages":1000,"max_queued_bytes":0,"queue_qos0_messages":false,"memory_limit":0,"persistence":false,"autosave_interval":1800,"set_tcp_nodelay":true,"max_packet_size":268435455,"message_size_limit":0},"changed":["max_inflight_messages","set_tcp_nodelay"],"pid":4242,"old_pid":4241,"write_s":0.002,"stop_s":0.001,"start_s":0.004,"verify_s":0.001,"total_s":0.008,"checks":["process","CONNACK"]},"error":"","outside":false,"drift":[]},"load":{"state":"running","pid":4300,"profile":{"name":"fanout","publishers":1,"subscribers":100,"topics":1,"qos":1,"payload_bytes":64,"rate":500.0,"window":200,"client_rtt_ms":0.0,"clean_session":true,"offline_subscribers":0,"protocol":4,"burst":[0.2,0.8],"slo_ms":10.0,"connects":0.0,"parts":[]},"connected":101,"wanted":101,"reconnects":0,"sent_total":500,"received_total":49000,"on_time_total":48000,"generator_cpu":0.4,"error":"","latency_ms":null,"outside":false},"sys":{"clients_connected":0,"received_per_s":0.0,"sent_per_s":0.0,"dropped_per_s":0.0,"heap_bytes":0,"uptime_s":0,"version":"","age_s":"Infinity","stale":true,"reason":""},"process":{"pid":4242,"cpu_percent":40.0,"rss_bytes":5000000,"ctx_switches_per_s":900.0,"cpu_s":0.0,"switches":0},"sent_per_s":500.0,"received_per_s":49000.0,"on_time_per_s":48000.0,"connection":null,"connections":{}}','{"propose_s":0.01,"apply_s":0.02,"reconnect_s":0.03,"settle_s":0.25,"measure_s":1.0,"learn_s":0.04,"record_s":0.005}',4242,0,0,'{"source":"actor","noise":0.3,"critic_loss":0.01,"actor_loss":null,"buffer":12,"updates":40,"why":"goes by the actor"}',1,1);
CREATE INDEX ix_runs_started_at ON runs (started_at);
COMMIT;
