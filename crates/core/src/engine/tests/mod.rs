mod cluster;
mod majority;
mod pair;

use cluster::Cluster;
