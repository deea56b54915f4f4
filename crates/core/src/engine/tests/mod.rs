mod cluster;
mod majority;
mod model;
mod pair;

use cluster::Cluster;
