"""The tables of the earlier tool's database."""

SCHEMA_12 = """
CREATE TABLE files (
  file_path TEXT PRIMARY KEY, content_hash TEXT NOT NULL, filename TEXT NOT NULL, file_size INTEGER NOT NULL,
  metadata_json TEXT,
  metadata_quality TEXT CHECK (metadata_quality IN ('complete', 'partial', 'minimal', 'none', 'unknown')),
  is_deleted INTEGER NOT NULL DEFAULT 0, error_message TEXT, gemini_file_uri TEXT, gemini_file_id TEXT,
  upload_timestamp TEXT, remote_expiration_ts TEXT, embedding_model_version TEXT,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now')),
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now')),
  ai_metadata_status TEXT DEFAULT 'pending', ai_confidence_score REAL, entity_extraction_version TEXT,
  entity_extraction_status TEXT DEFAULT 'pending', upload_attempt_count INTEGER DEFAULT 0, last_upload_hash TEXT,
  mtime REAL, orphaned_gemini_file_id TEXT, missing_since TEXT, upload_hash TEXT, enrichment_version TEXT,
  gemini_store_doc_id TEXT,
  gemini_state TEXT NOT NULL DEFAULT 'untracked'
    CHECK (gemini_state IN ('untracked', 'uploading', 'processing', 'indexed', 'failed')),
  gemini_state_updated_at TEXT, version INTEGER NOT NULL DEFAULT 0, intent_type TEXT, intent_started_at TEXT,
  intent_api_calls_completed INTEGER
);
CREATE TRIGGER update_files_timestamp AFTER UPDATE ON files BEGIN
  UPDATE files SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') WHERE file_path = NEW.file_path;
END;
CREATE TABLE upload_operations (
  operation_name TEXT PRIMARY KEY, file_path TEXT NOT NULL, gemini_file_name TEXT,
  operation_state TEXT CHECK (operation_state IN ('pending', 'in_progress', 'succeeded', 'failed', 'timeout')),
  created_at TEXT, last_polled_at TEXT, completed_at TEXT, error_message TEXT, retry_count INTEGER DEFAULT 0
);
CREATE TABLE library_config (key TEXT PRIMARY KEY, value TEXT);
CREATE INDEX idx_content_hash ON files (content_hash);
CREATE INDEX idx_gemini_state ON files (gemini_state);
PRAGMA user_version = 12;
"""
"""The tables that an adoption reads, with the columns and the checks of schema version 12."""
