package main

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite"
)

// How soon after its first document a collection has its index.
const indexInterval = 500 * time.Millisecond

// keepIDsIndexed gives each collection the index that FerretDB's look-ups by _id ask for.
//
// FerretDB 1.24 indexes the expression _ferretdb_sjson->"_id" and looks up by
// _ferretdb_sjson->'$._id'. SQLite uses an index only for the very same
// expression, so without this each look-up reads the whole collection.
func keepIDsIndexed(ctx context.Context, data string, logger *slog.Logger) {
	indexed := map[string]bool{}
	for {
		files, _ := filepath.Glob(filepath.Join(data, "*.sqlite"))
		for _, file := range files {
			if err := indexFile(ctx, file, indexed); err != nil && ctx.Err() == nil {
				logger.Warn("indexing ids", "file", file, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(indexInterval):
		}
	}
}

func indexFile(ctx context.Context, file string, indexed map[string]bool) error {
	db, err := sql.Open("sqlite", "file:"+file+"?mode=rw&_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer db.Close()
	tables, err := tablesOf(ctx, db)
	if err != nil {
		return err
	}
	for _, table := range tables {
		if indexed[file+"/"+table] {
			continue
		}
		create := fmt.Sprintf(`CREATE INDEX IF NOT EXISTS %q ON %q (_ferretdb_sjson->'$._id')`, table+"_lookup", table)
		if _, err := db.ExecContext(ctx, create); err != nil {
			return err
		}
		indexed[file+"/"+table] = true
	}
	return nil
}

func tablesOf(ctx context.Context, db *sql.DB) ([]string, error) {
	rows, err := db.QueryContext(ctx, `SELECT table_name FROM _ferretdb_collections`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			return nil, err
		}
		tables = append(tables, table)
	}
	return tables, rows.Err()
}
